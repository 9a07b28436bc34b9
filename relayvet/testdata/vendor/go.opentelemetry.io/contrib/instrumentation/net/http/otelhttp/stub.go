package otelhttp

import "net/http"

type Transport struct{ http.RoundTripper }

func NewTransport(base http.RoundTripper) *Transport { return &Transport{base} }
