package connect

type Request[T any] struct{ Msg *T }
type Response[T any] struct{ Msg *T }

func NewRequest[T any](m *T) *Request[T]   { return &Request[T]{m} }
func NewResponse[T any](m *T) *Response[T] { return &Response[T]{m} }
