package quiet

import (
	"net/http"

	"github.com/go-resty/resty/v2"
	"github.com/gojek/heimdall/v7/httpclient"
	"github.com/hashicorp/go-retryablehttp"
	"github.com/parnurzeal/gorequest"
)

// The incoming headers are copied.
func restyHeaders(w http.ResponseWriter, r *http.Request) {
	_, _ = resty.New().R().SetHeader("traceparent", r.Header.Get("traceparent")).Get("http://prices/1")
}

func heimdallHeaders(w http.ResponseWriter, r *http.Request) {
	_, _ = httpclient.NewClient().Get("http://prices/1", r.Header)
}

func goRequestHeaders(w http.ResponseWriter, r *http.Request) {
	_, _, _ = gorequest.New().Get("http://prices/1").Set("X-Request-Id", r.Header.Get("X-Request-Id")).End()
}

// Who is given the request may bind it.
func restyPassed(w http.ResponseWriter, r *http.Request) {
	req := resty.New().R()
	prepare(r, req)
	_, _ = req.Get("http://prices/1")
}

func prepare(r *http.Request, req *resty.Request) { req.SetContext(r.Context()) }

// What a helper makes may be bound.
func restyMade(w http.ResponseWriter, r *http.Request) {
	_, _ = newRequest(r).SetBody("1").Post("http://orders/")
}

func newRequest(r *http.Request) *resty.Request { return resty.New().R().SetContext(r.Context()) }

// The host is constant, and the world's.
func restyPublic(w http.ResponseWriter, r *http.Request) {
	_, _ = resty.New().R().Get("https://api.example.org/rates")
}

// The request within go-retryablehttp's is bound.
func retryableWithin(w http.ResponseWriter, r *http.Request) {
	req, err := retryablehttp.NewRequest(http.MethodGet, "http://prices/1", nil)
	if err != nil {
		return
	}
	req.Request = req.Request.WithContext(r.Context())
	resp, err := (&retryablehttp.Client{}).Do(req)
	if err != nil {
		return
	}
	resp.Body.Close()
}
