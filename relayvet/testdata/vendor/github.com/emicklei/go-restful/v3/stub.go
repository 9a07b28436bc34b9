package restful

import "net/http"

type Request struct{ Request *http.Request }
type Response struct{ http.ResponseWriter }
