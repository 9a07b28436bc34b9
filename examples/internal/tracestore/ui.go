package tracestore

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	jaegerui "github.com/tonistiigi/jaeger-ui-rest"
)

// ui is the Jaeger UI: its files, and a page that runs them.
type ui struct {
	page   []byte
	policy string // the page's Content-Security-Policy
	files  http.Handler
}

func newUI() *ui {
	var config jaegerui.Config
	config.Dependencies.MenuEnabled = true
	config.Menu = []jaegerui.Menu{{Label: "About", Items: []jaegerui.MenuItem{
		{Label: "Jaeger", URL: "https://www.jaegertracing.io/"},
		{Label: "OpenTelemetry", URL: "https://opentelemetry.io/"},
	}}}
	files := jaegerui.FS(config)
	f, err := files.Open("/index.html")
	if err != nil {
		panic("the Jaeger UI has no page: " + err.Error()) // it is built in
	}
	defer func() { _ = f.Close() }()
	page, err := io.ReadAll(f)
	if err != nil {
		panic("the Jaeger UI's page cannot be read: " + err.Error())
	}
	return &ui{page: page, policy: policyFor(page), files: http.FileServer(files)}
}

// ServeHTTP serves the UI's files, and its page for every other path, because
// the page does its own routing.
func (u *ui) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name, ok := strings.CutPrefix(r.URL.Path, "/static/"); ok {
		if name == "" {
			http.NotFound(w, r) // and not a list of files
			return
		}
		w.Header().Set("Cache-Control", "max-age=31536000, immutable") // a file's name has a hash of what is in it
		u.files.ServeHTTP(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the page is there to be read", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Security-Policy", u.policy)
	http.ServeContent(w, r, "index.html", time.Time{}, bytes.NewReader(u.page))
}

var inlineScript = regexp.MustCompile(`(?s)<script[^>]*>(.*?)</script>`)

// policyFor returns the policy that lets a page do what the UI does: run its
// own scripts, those that are written into the page among them, style what it
// shows, lay out graphs with WebAssembly in a worker that it makes by itself,
// and ask its own server. Whatever a span brings along can do nothing.
func policyFor(page []byte) string {
	scripts := "'self' 'wasm-unsafe-eval'"
	for _, script := range inlineScript.FindAllSubmatch(page, -1) {
		sum := sha256.Sum256(script[1])
		scripts += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'self'; script-src " + scripts + "; worker-src blob:; " +
		"style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
		"base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
}

// secure answers those who ask for this server knowingly, and tells browsers to
// keep other sites out.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if !local(r.Host) {
			http.Error(w, "ask for localhost or for an address: a web page can make any other name lead here", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// local reports whether the host of a request, with or without a port, is one
// that a web page cannot make lead here by DNS.
func local(host string) bool {
	host = (&url.URL{Host: host}).Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
