package matrix

import (
	"fmt"
	"html/template"

	"github.com/go-analyze/charts"
)

// Sizes of a plot, in pixels.
const (
	plotWidth  = 1000
	plotMargin = 120
	rowGap     = 12
	barHeight  = 14
)

// series are the values of a plot, one for each row.
type series struct {
	name string
	of   func(*Row) float64
}

// plots are the plots of a page.
func (r *Result) plots() ([]template.HTML, error) {
	var all []template.HTML
	for _, p := range []struct {
		title  string
		series []series
		print  func(float64) string
	}{
		{"Goodput in Gbit/s: least, median and most of the interval", []series{
			{"low", func(r *Row) float64 { return r.BitsPerSecond.Low / 1e9 }},
			{"median", func(r *Row) float64 { return r.BitsPerSecond.Median / 1e9 }},
			{"high", func(r *Row) float64 { return r.BitsPerSecond.High / 1e9 }},
		}, func(x float64) string { return fmt.Sprintf("%.2f", x) }},
		{"Processor time of the sender, seconds per GB", []series{
			{"user", func(r *Row) float64 { return r.UserPerGB.Median }},
			{"system", func(r *Row) float64 { return r.SystemPerGB.Median }},
		}, func(x float64) string { return fmt.Sprintf("%.2f", x) }},
		{"Thousand packets per second", []series{
			{"median", func(r *Row) float64 { return r.Packets.Median / 1e3 }},
		}, func(x float64) string { return fmt.Sprintf("%.0f", x) }},
	} {
		svg, err := r.plot(p.title, p.series, p.print)
		if err != nil {
			return nil, fmt.Errorf("plot %q: %w", p.title, err)
		}
		all = append(all, svg)
	}
	return all, nil
}

// plot draws a horizontal bar, or a group of them, for each row that has figures; "" where none has.
func (r *Result) plot(title string, list []series, print func(float64) string) (template.HTML, error) {
	var labels, names []string
	values := make([][]float64, len(list))
	// The library counts upwards.
	for n := len(r.Rows) - 1; n >= 0; n-- {
		row := &r.Rows[n]
		if row.N == 0 {
			continue
		}
		labels = append(labels, labelOf(row))
		for i, s := range list {
			values[i] = append(values[i], s.of(row))
		}
	}
	if len(labels) == 0 {
		return "", nil
	}
	for _, s := range list {
		names = append(names, s.name)
	}
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: plotWidth, Height: plotMargin + len(labels)*(rowGap+len(list)*barHeight)})
	err := p.BarChart(charts.BarChartOption{
		Horizontal: true, Title: charts.TitleOption{Text: title}, Padding: charts.NewBoxEqual(12), ValueFormatter: print,
		Legend:       charts.LegendOption{SeriesNames: names, Offset: charts.OffsetRight, Show: charts.Ptr(len(list) > 1)},
		CategoryAxis: charts.CategoryAxisOption{Labels: labels, LabelCount: len(labels), LabelFontStyle: charts.NewFontStyleWithSize(9)},
		ValueAxis:    []charts.ValueAxisOption{{Min: charts.Ptr(0.0)}},
		SeriesList:   charts.NewSeriesListBar(values, charts.BarSeriesOption{Label: charts.SeriesLabel{Show: charts.Ptr(len(list) != 3), ValueFormatter: print}}),
	})
	if err != nil {
		return "", err
	}
	svg, err := p.Bytes()
	return template.HTML(svg), err // made by the library, which escapes what is text
}

func labelOf(r *Row) string { return fmt.Sprintf("%d  %v", r.Number, r.Cell) }
