//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// netns is a network namespace, known to ip by its name. Everything that the
// mesh runs is in one of its own, so that down ends what is in them, and nothing
// else.
type netns string

const (
	prefix    = "tracebaton."
	nodeNetns = netns(prefix + "node")

	// bridge joins the pods, in the node's namespace.
	bridge = "bridge"

	// hostLink is this machine's own link to the bridge.
	hostLink = "tracebaton0"
)

// etc is where ip finds the files that it puts in place of those of /etc.
func (n netns) etc() string { return filepath.Join("/etc/netns", string(n)) }

// command is a command in the namespace.
func (n netns) command(name string, args ...string) []string {
	return append([]string{"ip", "netns", "exec", string(n), name}, args...)
}

// ip runs ip within the namespace.
func (n netns) ip(args ...string) error {
	return sh(append([]string{"ip", "-n", string(n)}, args...)...)
}

// pids are those of the processes in the namespace.
func (n netns) pids() []int {
	out, err := exec.Command("ip", "netns", "pids", string(n)).Output() // #nosec G204 -- its own name
	if err != nil {
		return nil // it is gone
	}
	var pids []int
	for _, field := range strings.Fields(string(out)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// remove ends the processes in the namespace, and the namespace.
func (n netns) remove() error {
	// Whoever is connected hears of it while the namespace is still there, and
	// does not wait for answers that never come.
	for tries := 0; ; tries++ {
		pids := n.pids()
		if len(pids) == 0 {
			break
		}
		if tries == 500 {
			return fmt.Errorf("processes %v in namespace %s do not end", pids, n)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // one that has ended meanwhile is what we want
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := os.RemoveAll(n.etc()); err != nil {
		return err
	}
	return sh("ip", "netns", "del", string(n))
}

// newNetns makes a namespace, attached to the node's bridge at the address.
func newNetns(n netns, link, addr string) error {
	if err := os.MkdirAll(n.etc(), 0o755); err != nil { // #nosec G301 -- as /etc
		return err
	}
	if err := sh("ip", "netns", "add", string(n)); err != nil {
		return err
	}
	return errors.Join(
		nodeNetns.ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", string(n)),
		nodeNetns.ip("link", "set", link, "master", bridge, "up"),
		n.ip("link", "set", "lo", "up"),
		n.ip("link", "set", "eth0", "up"),
		n.ip("addr", "add", addr+"/16", "dev", "eth0"),
		// Else a connection to a ClusterIP fails before any rule sees it.
		n.ip("route", "add", "default", "via", nodeAddr),
	)
}

// newNode makes the namespace of the node, and links this machine to it.
func newNode() error {
	if err := sh("ip", "netns", "add", string(nodeNetns)); err != nil {
		return fmt.Errorf("%w: this needs the capabilities NET_ADMIN and SYS_ADMIN, which an unprivileged container has not", err)
	}
	return errors.Join(
		nodeNetns.ip("link", "set", "lo", "up"),
		nodeNetns.ip("link", "add", bridge, "type", "bridge"),
		nodeNetns.ip("addr", "add", nodeAddr+"/16", "dev", bridge),
		nodeNetns.ip("link", "set", bridge, "up"),
		sh("ip", "link", "add", hostLink, "type", "veth", "peer", "name", "host", "netns", string(nodeNetns)),
		nodeNetns.ip("link", "set", "host", "master", bridge, "up"),
		sh("ip", "addr", "add", hostAddr+"/16", "dev", hostLink),
		sh("ip", "link", "set", hostLink, "up"),
	)
}

// namespaces are those of the mesh, the node's first: what restarts others
// goes before them.
func namespaces() ([]netns, error) {
	entries, err := os.ReadDir("/run/netns")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []netns
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			all = append(all, netns(e.Name()))
		}
	}
	if i := slices.Index(all, nodeNetns); i > 0 {
		all[0], all[i] = all[i], all[0]
	}
	return all, err
}

// dial connects to the port on the namespace's loopback.
func (n netns) dial(port int32) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		// A thread that has been in another namespace ends with its goroutine,
		// for want of an unlock.
		runtime.LockOSThread()
		f, err := os.Open(filepath.Join("/run/netns", string(n)))
		if err == nil {
			err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
			_ = f.Close()
		}
		if err != nil {
			done <- result{nil, err}
			return
		}
		conn, err := net.DialTimeout("tcp4", "127.0.0.1:"+strconv.Itoa(int(port)), creation)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// sh runs a command, which is to succeed.
func sh(command ...string) error {
	_, err := shOutput("", command...)
	return err
}

// shOutput runs a command with that on its standard input, and returns what it
// printed.
func shOutput(stdin string, command ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.Command(command[0], command[1:]...) // #nosec G204 -- the mesh's own
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(stderr.String()+string(out)))
	}
	return string(out), nil
}
