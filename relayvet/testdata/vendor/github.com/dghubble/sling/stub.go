package sling

import "net/http"

type Sling struct{}

func New() *Sling { return nil }

func (*Sling) New() *Sling                                                          { return nil }
func (*Sling) Base(rawURL string) *Sling                                            { return nil }
func (*Sling) Get(pathURL string) *Sling                                            { return nil }
func (*Sling) Request() (*http.Request, error)                                      { return nil, nil }
func (*Sling) ReceiveSuccess(successV any) (*http.Response, error)                  { return nil, nil }
func (*Sling) Do(req *http.Request, successV, failureV any) (*http.Response, error) { return nil, nil }
