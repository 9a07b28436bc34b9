package middleware

import (
	"log"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/tracebaton/tracebaton/propagation"
)

// Relay returns middleware that keeps the headers of f that come in with a
// request in the request's context, for [Transport] and
// [propagation.FromContext]. The zero Families is [propagation.Istio].
//
// The ResponseWriter and the body pass through untouched. A request that
// brings none of the headers passes through as it is, at no allocation.
//
// The handler gets a copy of the request, which trailers reach as well. Its
// pattern and its multipart form are known outside once the handler returns,
// unless the request's context is done by then; path values are not.
//
// Put it outside everything that makes calls or logs; of two Relays inside
// each other, each adds its own families.
//
//	r := chi.NewRouter()
//	r.Use(middleware.Relay(propagation.Istio().With(propagation.Custom("end-user"))))
//
// The one thing that it must stand inside of is the deprecated h2c.NewHandler of
// golang.org/x/net, of which it would see the first request of a connection
// only. A Relay outside it declines to upgrade a connection, and writes to the
// server's ErrorLog, once, when a client begins one with HTTP/2. The Protocols
// of [http.Server] need no such care.
func Relay(f propagation.Families) func(http.Handler) http.Handler {
	var once sync.Once
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isPreface(r) {
				once.Do(func() { logTo(r, outsideH2C) })
			}
			serve(next, w, r, withoutH2C(r, f.Incoming(r)))
		})
	}
}

const outsideH2C = "middleware: a connection of HTTP/2 without TLS reached Relay as a request of HTTP/1; " +
	"if h2c.NewHandler serves it, no trace headers are relayed: " +
	"use h2c.NewHandler(middleware.Relay(families)(handler), server), or the Protocols of http.Server"

// isPreface reports whether r is the beginning of a connection with HTTP/2, for
// which net/http has no other handler.
func isPreface(r *http.Request) bool {
	return r.ProtoMajor == 2 && r.Method == "PRI" && r.RequestURI == "*"
}

// withoutH2C returns in, which is r or a copy of it, or a copy that does not
// offer to go on with HTTP/2. A h2c.NewHandler inside would take in's context
// for that of the connection, and all later requests would carry the headers of
// this one. A server need not accept the offer (RFC 9110, section 7.8), and
// HTTP/2 no longer has it (RFC 9113, section 3.1).
func withoutH2C(r, in *http.Request) *http.Request {
	if !slices.ContainsFunc(r.Header["Upgrade"], func(v string) bool { return strings.Contains(strings.ToLower(v), "h2c") }) {
		return in
	}
	out := in.WithContext(in.Context())
	out.Header = r.Header.Clone()
	delete(out.Header, "Upgrade")
	return out
}

func logTo(r *http.Request, line string) {
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && server.ErrorLog != nil {
		server.ErrorLog.Print(line)
		return
	}
	log.Print(line)
}

// serve has next serve in, which is r or a copy of it.
func serve(next http.Handler, w http.ResponseWriter, r, in *http.Request) {
	if in != r {
		if r.ProtoMajor == 1 && r.ContentLength < 0 && r.Trailer == nil {
			// net/http's server adds the trailers that were not announced to
			// r's when the body ends.
			r.Trailer = make(http.Header)
			in.Trailer = r.Trailer
		}
		form := r.MultipartForm
		defer func() {
			switch {
			case r.Context().Err() != nil:
				// An outer middleware may have given up on the handler, and
				// the server may be at r already. The temporary files of the
				// form are nobody else's.
				if in.MultipartForm != form && in.MultipartForm != nil {
					_ = in.MultipartForm.RemoveAll()
				}
			default:
				// Those outside see r: net/http's server removes the files of
				// its form, and telemetry names its span by its pattern.
				if in.Pattern != r.Pattern {
					r.Pattern = in.Pattern
				}
				if in.MultipartForm != form {
					r.MultipartForm = in.MultipartForm
				}
			}
		}()
	}
	next.ServeHTTP(w, in)
}
