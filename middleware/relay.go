package middleware

import (
	"net/http"
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
// A request that brings some reaches the handler as a copy, to which trailers are
// added as well. When the handler returns, Relay copies the pattern and the
// multipart form back, unless the request's context is done by then. It does not
// copy back path values.
//
// Put Relay outside everything that makes calls or logs. If one Relay is inside
// another, the families of both are kept.
//
//	r := chi.NewRouter()
//	r.Use(middleware.Relay(propagation.Istio().With(propagation.Custom("end-user"))))
//
// Put Relay inside the deprecated h2c.NewHandler of golang.org/x/net: outside it,
// Relay sees only the first request of a connection. There it declines a client's
// offer to upgrade to HTTP/2, and writes to the server's ErrorLog, once, when a
// client begins with HTTP/2. With the Protocols of [http.Server], Relay may stand
// anywhere.
func Relay(f propagation.Families) func(http.Handler) http.Handler {
	var once sync.Once
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isPreface(r) {
				once.Do(func() { logTo(r, outsideH2C) })
			}
			serve(next, w, r, withoutH2C(f.Incoming(r)))
		})
	}
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
