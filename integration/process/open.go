package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
)

// Open is what a program has open.
type Open struct{ Files, Sockets int }

// NeedOpen skips the test where the system does not tell what a program has
// open: it does on Linux.
func NeedOpen(t T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc here, which tells what a program has open")
	}
}

// Open is what the program has open now. The test [NeedOpen]s it.
func (p *Process) Open(t T) Open {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err, p.name)
	var open Open
	for _, entry := range entries {
		switch to, err := os.Readlink(filepath.Join(dir, entry.Name())); {
		case err != nil: // closed meanwhile
		case strings.HasPrefix(to, "socket:"):
			open.Sockets++
		default:
			open.Files++
		}
	}
	return open
}
