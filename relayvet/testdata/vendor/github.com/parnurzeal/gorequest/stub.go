package gorequest

import "net/http"

type Response *http.Response

type SuperAgent struct{ Client *http.Client }

func New() *SuperAgent { return nil }

func (*SuperAgent) Get(targetURL string) *SuperAgent    { return nil }
func (*SuperAgent) Set(param, value string) *SuperAgent { return nil }
func (*SuperAgent) MakeRequest() (*http.Request, error) { return nil, nil }
func (*SuperAgent) End(callback ...func(response Response, body string, errs []error)) (Response, string, []error) {
	return nil, "", nil
}
