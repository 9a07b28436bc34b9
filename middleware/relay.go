package middleware

import (
	"net/http"

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
func Relay(f propagation.Families) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			serve(next, w, r, f.Incoming(r))
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
