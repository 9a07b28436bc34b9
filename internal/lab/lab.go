// Package lab is the server that stands upstream of a service and sees what
// arrives, for the conformance kit and the command: HTTP/1.1, HTTP/2 in
// cleartext, as gRPC speaks it, or TLS with a certificate made for the run.
package lab

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Grace is how long the kits wait for what may never happen, such as a call in
// the background. Only tests of theirs change it.
var Grace = 2 * time.Second

// Config says how a server listens. The zero value is HTTP on a free port of
// the loopback interface.
type Config struct {
	// Addr is where to listen. Empty is 127.0.0.1:0.
	Addr string
	// TLS makes a certificate for the run, for the address and the hosts.
	TLS   bool
	Hosts []string
	// Patience is how long a caller may take to send a request's headers.
	// Zero is 10 seconds.
	Patience time.Duration
}

// Server is a server that can be closed while a handler never returns, for
// which httptest.Server waits.
type Server struct {
	// Addr is the address that the server listens at, and URL the one under
	// which this machine reaches it, without a path.
	Addr, URL string
	// CA is the certificate, in PEM, by which callers know the server. It is
	// nil without TLS.
	CA []byte

	http *http.Server
}

// Serve starts a server of the handler.
func Serve(c Config, h http.Handler) (*Server, error) {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	s := &Server{Addr: listener.Addr().String()}
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("cannot listen at %s: %w", s.Addr, err)
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	s.URL = "http://" + net.JoinHostPort(host, port)
	// A gRPC caller speaks HTTP/2 at once: without this its preface, PRI *,
	// would be taken for a call.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler: calls(h), Protocols: &protocols, ReadHeaderTimeout: c.Patience,
		ErrorLog: log.New(io.Discard, "", 0), // a caller that is gone is no news
	}
	if !c.TLS {
		go func() { _ = s.http.Serve(listener) }()
		return s, nil
	}
	certificate, ca, err := certify(append([]string{host, "localhost"}, c.Hosts...))
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	s.URL, s.CA = "https://"+net.JoinHostPort(host, port), ca
	s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	go func() { _ = s.http.ServeTLS(listener, "", "") }()
	return s, nil
}

// Close stops the server, without waiting for handlers.
func (s *Server) Close() { _ = s.http.Close() }

// calls keeps what is no call away from the handler.
func calls(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PRI" || r.Method == http.MethodConnect {
			http.Error(w, "not served here", http.StatusMethodNotAllowed)
			return
		}
		h.ServeHTTP(w, r)
	})
}
