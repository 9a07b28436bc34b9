package reconcile

type Request struct{ Name string }

type Result struct{}
