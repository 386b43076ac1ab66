// Package metrics shows the books of a run to Prometheus while it lasts: ledger, holders of frames, and how long frames
// are in each stage. It asks for them when it is asked, and keeps nothing.
//
// It owns the names of the metrics and an HTTP server; what the numbers mean is dataplane's to say.
package metrics
