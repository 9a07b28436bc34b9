package propagationtest

import "time"

// Hasten returns the service to be tested with fewer requests at once, and
// with a kit that waits less for what may never happen.
func Hasten(s Service) Service {
	s.pace = pace{patience: usualPace().patience, grace: 100 * time.Millisecond, crowd: 8}
	return s
}

// Impatient returns the service to be tested with a kit that waits as long as
// given for answers.
func Impatient(s Service, patience time.Duration) Service {
	s.pace = pace{patience: patience, grace: patience / 10, crowd: 8}
	return s
}
