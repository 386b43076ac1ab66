package metrics

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Server answers on /metrics.
type Server struct {
	listener net.Listener
	registry *prometheus.Registry
	http     http.Server
	done     chan struct{}
}

// Listen starts a server on an address, HOST:PORT or :PORT. Without a host it is the loopback interface's: what a run
// does is for this machine, unless an address says otherwise. Until it has a source it has no metrics.
func Listen(addr string) (*Server, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("--metrics %s: give HOST:PORT, or :PORT for 127.0.0.1: %w", addr, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("--metrics %s: %w (port 0 takes a free one)", addr, err)
	}
	s := &Server{listener: l, registry: prometheus.NewRegistry(), done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	s.http = http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(l) // ends with Close, and no sooner than the listener does
	}()
	return s, nil
}

// URL is where the metrics are.
func (s *Server) URL() string { return "http://" + s.listener.Addr().String() + "/metrics" }

// Show gives the server its source.
func (s *Server) Show(source Source) { s.registry.MustRegister(collector{source}) }

// Close ends the server at once.
func (s *Server) Close() {
	_ = s.http.Close() // it ends the connections too; nothing of them is worth an error
	<-s.done
}
