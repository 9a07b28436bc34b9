package middleware

import (
	"net/http"

	"github.com/tracebaton/tracebaton/propagation"
)

type Transport struct{ Base http.RoundTripper }

func (*Transport) RoundTrip(*http.Request) (*http.Response, error) { return nil, nil }

func Relay(propagation.Families) func(http.Handler) http.Handler { return nil }
