package unfollowed

import "net/http"

type source interface{ price(id string) error }

type remote struct{}

func (remote) price(id string) error {
	resp, err := http.Get("http://prices/" + id)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

type mirror struct{}

func (mirror) price(id string) error {
	resp, err := http.Get("http://mirror/" + id)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

type fixed struct{}

func (fixed) price(string) error { return nil }

type clock interface{ now() int }

type shop struct {
	source
	clock
}

func (s shop) serve(w http.ResponseWriter, r *http.Request) {
	_ = s.price("1") // want `not followed in this package, here first: .* without a context: 2; such sends: 2 \(http.Get at lost/unfollowed/several.go:10, http.Get at lost/unfollowed/several.go:20\); .*: 1`
	s.again()
	_ = s.now()
}

func (s shop) again() { _ = s.price("2") }

func (s shop) poll() { _ = s.price("3") }
