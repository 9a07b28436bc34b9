package middleware

import (
	"log"
	"net/http"
	"strings"
)

const outsideH2C = "middleware: a connection of HTTP/2 without TLS reached Relay as a request of HTTP/1; " +
	"if h2c.NewHandler serves it, no trace headers are relayed: " +
	"use h2c.NewHandler(middleware.Relay(families)(handler), server), or the Protocols of http.Server"

// isPreface reports whether r is the beginning of a connection with HTTP/2, for
// which net/http has no other handler.
func isPreface(r *http.Request) bool {
	return r.ProtoMajor == 2 && r.Method == "PRI" && r.RequestURI == "*"
}

// withoutH2C returns r, or a copy of it that does not offer to go on with
// HTTP/2. A h2c.NewHandler inside would take this request's context for that of
// the connection, and serve the later ones where nobody outside sees them. A
// server need not accept the offer (RFC 9110, section 7.8), and HTTP/2 no longer
// has it (RFC 9113, section 3.1).
func withoutH2C(r *http.Request) *http.Request {
	offers := r.Header["Upgrade"]
	if !strings.Contains(strings.ToLower(strings.Join(offers, ",")), "h2c") {
		return r // a WebSocket, or nothing
	}
	var kept []string
	for _, offer := range strings.Split(strings.Join(offers, ","), ",") {
		if offer = strings.Trim(offer, " \t"); !strings.EqualFold(offer, "h2c") {
			kept = append(kept, offer)
		}
	}
	out := r.WithContext(r.Context())
	out.Header = r.Header.Clone()
	if out.Header["Upgrade"] = kept; len(kept) == 0 {
		delete(out.Header, "Upgrade")
	}
	return out
}

func logTo(r *http.Request, line string) {
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && server.ErrorLog != nil {
		server.ErrorLog.Print(line)
		return
	}
	log.Print(line)
}
