// Package middleware relays trace headers through net/http: [Relay] on the
// server keeps those that come in, [Transport] on the client sends them with
// every call made with the request's context.
//
//	client := &http.Client{Transport: &middleware.Transport{}}
//	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
//		req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://reviews:9080/", nil)
//		res, err := client.Do(req)
//		…
//	})
//	http.ListenAndServe(":8080", middleware.Relay(propagation.Istio())(mux))
//
// The request's context joins the two: a call made with another context, as
// [http.Get] makes it, is an ordinary call.
//
// The middleware has the form that chi, gorilla/mux, alice and most others take.
// In frameworks with a form of their own, use [propagation.Families.Incoming] in
// place of Relay, and [propagation.Headers.Outgoing] in place of Transport.
package middleware
