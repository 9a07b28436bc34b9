package send

import "net/http"

type doer interface {
	Do(*http.Request) (*http.Response, error)
}

type shop struct{ doer doer }

func (s shop) buy(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	resp, err := s.doer.Do(req) // want `s.doer.Do is sent without`
	if err != nil {
		return
	}
	resp.Body.Close()
}
