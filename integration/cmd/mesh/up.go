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
	"strings"
	"syscall"
	"time"
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
	if err := clearUp(); err != nil {
		return err
	}
	if err := os.Mkdir(state, 0o755); err != nil { // #nosec G301 -- the users of containers look for their files below it
		return err
	}
	for _, step := range []func() error{c.mount, raise, newNode, c.start} {
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
	argv := []string{"nsenter", "--net=/run/netns/" + string(nodeNetns), self, nodeVerb, "-kubelet=" + c.kubelet}
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
	if err := clearUp(); err != nil {
		return err
	}
	c.say("nothing is left of the mesh")
	return nil
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
