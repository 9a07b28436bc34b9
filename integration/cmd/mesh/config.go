//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tracebaton/tracebaton/integration/envoy"
)

// state is the folder of everything that a mesh writes. It is there as long as
// the mesh is.
const state = "/run/tracebaton-mesh"

const (
	// kubeconfig names the cluster to kubectl and istioctl.
	kubeconfig = state + "/kubeconfig"

	// network is where pods are, each under an address that no other had.
	network = "10.213.0.0/16"

	// nodeAddr is where the API server, the controllers and the stand-ins
	// listen. Nothing outside of this machine reaches it.
	nodeAddr = "10.213.0.1"

	// hostAddr is this machine's own address there.
	hostAddr = "10.213.0.2"

	// services is where ClusterIPs are.
	services = "10.214.0.0/16"

	// apiService is the ClusterIP of the API server, the first one.
	apiService = "10.214.0.1"

	apiServer = nodeAddr + ":6443"
	etcd      = "127.0.0.1:2379" // which asks nobody who they are
	kubelet   = nodeAddr + ":10250"
)

// config is what up was told, or found.
type config struct {
	Root    string // of the project
	Envoy   string
	Kubelet string

	apply  string
	say    func(format string, args ...any)
	stdout io.Writer
}

// tool is where the program of that name is: one of those that the Makefile
// builds.
func (c *config) tool(name string) string {
	return filepath.Join(c.Root, "integration", "istio", "bin", name)
}

// program is what runs in place of an image, ok is false where nothing does.
func (c *config) program(image string) (path string, ok bool) {
	image, _, _ = strings.Cut(image, "@")
	dir, name := "", image
	if i := strings.LastIndexByte(image, '/'); i >= 0 {
		dir, name = image[:i], image[i+1:]
	}
	name, _, _ = strings.Cut(name, ":")
	switch {
	case dir == "localhost/tracebaton":
		path = filepath.Join(c.Root, "integration", "bin", name)
	case dir+"/"+name == "jaegertracing/jaeger":
		path = filepath.Join(c.Root, "deploy", "jaeger", "bin", "jaeger")
	case name == "proxyv2":
		path = c.tool("pilot-agent")
	case name == "pilot":
		path = c.tool("pilot-discovery")
	}
	return path, path != ""
}

// complete fills in what up was not told, and returns what is missing on this
// machine.
func (c *config) complete() error {
	if os.Geteuid() != 0 {
		return errors.New("this needs root, to make network namespaces and iptables rules in them: sudo")
	}
	for name, pkg := range map[string]string{
		"ip": "iproute2", "iptables": "iptables", "iptables-restore": "iptables", "sysctl": "procps", "setpriv": "util-linux", "nsenter": "util-linux", "mount": "mount", "mountpoint": "util-linux", "etcd": "etcd-server",
	} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("there is no %s on PATH: install it (on Debian, apt-get install %s)", name, pkg)
		}
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	for ; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.work")); err == nil {
			break
		}
		if root == "/" {
			return errors.New("run this inside the repository: its manifests and programs are what runs")
		}
	}
	c.Root = root
	for _, image := range []string{"localhost/tracebaton/sleep", "jaegertracing/jaeger", "istio/pilot", "istio/proxyv2"} {
		path, _ := c.program(image)
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is not built: make mesh-tools", path)
		}
	}
	b, err := envoy.Find(c.Root, c.Envoy)
	if err != nil {
		return err
	}
	c.Envoy = b.Path
	return nil
}

func (c *config) save() error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(state, "config.json"), text, 0o600)
}

func (c *config) load() error {
	text, err := os.ReadFile(filepath.Join(state, "config.json"))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, c)
}
