//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	patience = 3 * time.Minute
	tick     = 100 * time.Millisecond
)

// up starts the mesh and returns once it takes requests.
func up(c *config) error {
	if err := c.complete(); err != nil {
		return err
	}
	if all, _ := namespaces(); len(all) > 0 {
		return errors.New("a mesh is up: mesh down ends it")
	}
	if out, _ := exec.Command("ip", "route", "show", "root", network).Output(); len(out) > 0 { // #nosec G204 -- a constant
		return fmt.Errorf("this machine has a route to %s, which the mesh takes for its pods: %s", network, out)
	}
	if err := c.clear(); err != nil {
		return err
	}
	if err := os.Mkdir(state, 0o755); err != nil { // #nosec G301 -- the users of containers look for their files below it
		return err
	}
	for _, step := range []func() error{c.settle, raise, newNode, c.start} {
		if err := step(); err != nil {
			return fmt.Errorf("%w\nthe logs are in %s; mesh down ends what runs", err, state)
		}
	}
	return nil
}

func (c *config) start() error {
	if err := c.startNode(); err != nil {
		return err
	}
	c.say("the cluster is up")
	// Istio's own way in, and what keeps it from asking Envoy for what only
	// Istio's has.
	install := filepath.Join(c.root, "deploy", "istio", "install.yaml")
	stock := filepath.Join(c.root, "integration", "istio", "stock-envoy.yaml")
	if err := c.run("istioctl", "install", "-y", "-f", install, "-f", stock); err != nil {
		return err
	}
	c.say("Istio is installed")
	if c.apply != "" {
		if err := c.run("kubectl", "apply", "-k", c.apply); err != nil {
			return err
		}
		if err := c.run("kubectl", "rollout", "status", "deployment", "-n", "tracebaton", "--timeout=2m"); err != nil {
			return err
		}
		c.say("%s is applied, and its pods are ready", c.apply)
	}
	_, err := fmt.Fprintf(c.stdout, "\nIn the terminals that are to use it:\n\n  export KUBECONFIG=%s PATH=%s:$PATH\n\n"+
		"Logs of the cluster and of all containers are below %s.\n", kubeconfig, c.istio, state)
	return err
}

// startNode starts this program again as the node, which goes on after up has
// ended, and returns once it has said that it is ready.
func (c *config) startNode() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(state, "node.log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	said, its, err := os.Pipe()
	if err != nil {
		return err
	}
	// Not by ip netns exec, which has mounts of its own: there the namespaces of
	// pods would be out of down's sight.
	argv := []string{"nsenter", "--net=/run/netns/" + string(nodeNetns), self, nodeVerb}
	cmd := exec.Command(argv[0], argv[1:]...)                  // #nosec G204 -- itself
	cmd.Env = append(os.Environ(), "NO_PROXY=*", "no_proxy=*") // it asks nobody but the mesh's own
	cmd.Stdout, cmd.Stderr = its, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is not for it
	if err := cmd.Start(); err != nil {
		return err
	}
	_ = its.Close()
	// The node closes its standard output when it is ready, and when it ends.
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if lines.Text() == nodeReady {
			return cmd.Process.Release()
		}
	}
	err = cmd.Wait()
	text, _ := os.ReadFile(log.Name())
	return fmt.Errorf("the node has ended: %w: %s", err, text)
}

// run runs a tool that reaches the cluster.
func (c *config) run(name string, args ...string) error {
	cmd := exec.Command(filepath.Join(c.istio, name), args...) // #nosec G204 -- the mesh's own
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "NO_PROXY=*", "no_proxy=*")
	cmd.Dir = c.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// down ends the mesh.
func down(c *config) error {
	if os.Geteuid() != 0 {
		return errors.New("this needs root: sudo")
	}
	all, err := namespaces()
	if err != nil {
		return err
	}
	if _, err := os.Stat(state); len(all) == 0 && errors.Is(err, fs.ErrNotExist) {
		c.say("no mesh is up")
		return nil
	}
	for len(all) > 0 { // until the node has ended, it makes others
		var failed []error
		for _, n := range all {
			failed = append(failed, n.remove())
		}
		if err := errors.Join(failed...); err != nil {
			return err
		}
		if all, err = namespaces(); err != nil {
			return err
		}
	}
	// The links go with the namespace of their other end, but in its own time.
	if _, err := os.Stat("/sys/class/net/" + hostLink); err == nil {
		_ = sh("ip", "link", "del", hostLink) // unless it is gone meanwhile
	}
	if err := c.clear(); err != nil {
		return err
	}
	c.say("nothing is left of the mesh")
	return nil
}

// clear removes all files of a mesh whose processes have ended.
func (c *config) clear() error {
	etc, err := filepath.Glob("/etc/netns/" + prefix + "*")
	if err != nil {
		return err
	}
	for _, dir := range etc {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := lower(); err != nil {
		return err
	}
	// What is mounted there is not the mesh's to remove.
	for _, at := range mounts {
		for {
			err := unix.Unmount(at, 0)
			if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
				break // nothing is
			}
			if err != nil {
				return fmt.Errorf("unmount %s: %w", at, err)
			}
		}
	}
	return os.RemoveAll(state)
}

// mounts is where the programs are: below state every user can run them, as
// nobody but their owner may below a home folder.
var mounts = []string{state + "/services", state + "/istio", state + "/jaeger", state + "/envoy"}

// settle mounts the programs, and tells the node of them.
func (c *config) settle() error {
	from := []string{c.services, c.istio, c.jaeger, c.Envoy}
	for i, at := range mounts {
		if err := c.mount(from[i], at); err != nil {
			return err
		}
	}
	text := marshal(config{Envoy: mounts[3], Kubelet: c.Kubelet})
	return os.WriteFile(filepath.Join(state, "config.json"), text, 0o600)
}

// mount has the file or folder be seen at another place, and not be written to
// there.
func (c *config) mount(from, at string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.Mkdir(at, 0o755) // #nosec G301 -- see mounts
	} else {
		err = os.WriteFile(at, nil, 0o600)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(from, at, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", from, err)
	}
	if err := unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mount %s: %w", from, err)
	}
	return nil
}

const (
	watchers = "fs.inotify.max_user_instances"
	enough   = 1024
	before   = state + "/" + watchers
)

// raise has the system allow what the sidecars of several versions of all pods
// watch, which run as one user: some systems allow no more than 128.
func raise() error {
	text, err := shOutput("", "sysctl", "-n", watchers)
	if n, _ := strconv.Atoi(strings.TrimSpace(text)); err != nil || n >= enough {
		return err
	}
	if sh("sysctl", "-qw", fmt.Sprintf("%s=%d", watchers, enough)) != nil {
		return nil // it may not be changed here: sidecars that fail for it are started again
	}
	return os.WriteFile(before, []byte(text), 0o600)
}

// lower undoes what raise did.
func lower() error {
	text, err := os.ReadFile(before)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return sh("sysctl", "-qw", watchers+"="+strings.TrimSpace(string(text)))
}

// eventually waits until done returns nil.
func eventually(what string, done func() error) error {
	end := time.Now().Add(patience)
	for {
		err := done()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		time.Sleep(tick)
	}
}

// marshal is the value as JSON. It is of a type that has one.
func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
