package matrix

import (
	"bytes"
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/xsend/xsend/internal/units"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"rate":    units.BitRate,
	"bytes":   units.Bytes,
	"number":  func(x float64) string { return fmt.Sprintf("%.2f", x) },
	"fine":    func(x float64) string { return fmt.Sprintf("%.4f", x) },
	"whole":   func(x float64) string { return fmt.Sprintf("%.0f", x) },
	"percent": func(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) },
	"time":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
}).Parse(pageText))

// WriteHTML writes one page that needs nothing else: no network, no script.
func (r *Result) WriteHTML(w io.Writer) error {
	plots, err := r.plots()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := page.Execute(&b, struct {
		*Result
		Plots []template.HTML
	}{r, plots}); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}
