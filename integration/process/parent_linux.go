package process

import "syscall"

// dieWithParent ends the program also where the test's clean-up never runs: on
// a panic, on go test's own timeout, on Ctrl-C.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
