package race

import "io"

// WriteHTML writes one page that needs nothing else: no network, no script.
func (r *Result) WriteHTML(w io.Writer) error { return nil }
