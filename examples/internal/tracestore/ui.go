package tracestore

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	jaegerui "github.com/tonistiigi/jaeger-ui-rest"
)

// newUI serves the files of the Jaeger UI, and its only page for every other
// path: the UI does its own routing.
func newUI() http.Handler {
	var config jaegerui.Config
	config.Dependencies.MenuEnabled = true
	config.Menu = []jaegerui.Menu{{Label: "About", Items: []jaegerui.MenuItem{
		{Label: "Jaeger", URL: "https://www.jaegertracing.io/"},
		{Label: "OpenTelemetry", URL: "https://opentelemetry.io/"},
	}}}
	files := jaegerui.FS(config)
	static := http.FileServer(files)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /static/{file}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=31536000, immutable") // names hold a hash of what is in the file
		static.ServeHTTP(w, r)
	})
	mux.HandleFunc("GET /static/", http.NotFound)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		page, err := files.Open("/index.html")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer func() { _ = page.Close() }()
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, "index.html", time.Time{}, page)
	})
	return mux
}

// secure answers requests that were made to this machine knowingly, and tells
// the browser to keep the UI to itself.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'self'; object-src 'none'")
		if !local(r.Host) {
			http.Error(w, "ask for the address or for localhost, not for another name", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// local reports whether a request for the host, with or without a port, can
// only have been made by somebody who means this server: the name of another
// can be made to resolve to it at any time, an address cannot.
func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
