//go:build unix

package grpc_test

import (
	"syscall"
	"time"
)

// cpu returns the time that the process has had on all cores, garbage
// collection included.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
