package propagation

type Families struct{}

func Istio() Families { return Families{} }
