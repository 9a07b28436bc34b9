package relayvet

func (p *pkg) wiring() {}
