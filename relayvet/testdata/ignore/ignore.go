// Package ignore silences a line without saying why.
package ignore

import "net/http"

func get(w http.ResponseWriter, r *http.Request) {
	_, _ = http.Get("http://prices/1") //relayvet:ignore // want `http.Get is sent without r` `needs a reason after it`
}

func next(w http.ResponseWriter, r *http.Request) {
	_, _ = http.Get("http://licence/1") //relayvet:ignore the licence server knows no traces
	_, _ = http.Get("http://prices/1")  // want `http.Get is sent without r`
}
