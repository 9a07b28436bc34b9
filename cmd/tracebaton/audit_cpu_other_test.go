//go:build !unix

package main

import "time"

var started = time.Now()

// cpuTime is the time by the clock, where no other is at hand.
func cpuTime() time.Duration { return time.Since(started) }
