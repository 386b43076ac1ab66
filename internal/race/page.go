package race

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
	"rate":   units.BitRate,
	"bytes":  units.Bytes,
	"number": func(x float64) string { return fmt.Sprintf("%.2f", x) },
	"whole":  func(x float64) string { return fmt.Sprintf("%.0f", x) },
	"milli":  milli,
	"count":  count,
	"time":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	"add":    func(a, b float64) float64 { return a + b },
}).Parse(pageText))

// Where says over what path it went.
func (r *Result) Where() string { return r.where() }

// Title names the block.
func (b *Block) Title() string { return b.title() }

// Percent is the part of the bytes that were corrupted.
func (r *Row) Percent() string { return r.percent() }

// Silent is how many notifications said that the kernel had copied.
func (r *Row) Silent() string { return r.copied() }

// Class is the row's in the style sheet.
func (r *Row) Class() string {
	switch {
	case r.Outcome != Done:
		return r.Outcome
	case r.Corrupted > 0:
		return "corrupted"
	}
	return "clean"
}

// WriteHTML writes one page that needs nothing else: no network, no script.
func (r *Result) WriteHTML(w io.Writer) error {
	var b bytes.Buffer
	if err := page.Execute(&b, struct {
		*Result
		Drawings []drawing
	}{r, r.drawings()}); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
