package propagationtest

import "time"

// SetPatience sets how long the kit waits, and returns a function that sets it
// back.
func SetPatience(d time.Duration) (back func()) {
	before := patience
	patience = d
	return func() { patience = before }
}
