package context

import "net/http"

type Context struct {
	Request        *http.Request
	ResponseWriter *Response
}

type Response struct{ http.ResponseWriter }
