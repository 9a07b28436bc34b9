//go:build linux

package main

import (
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
	// kubeconfig names the cluster to kubectl and istioctl. kubectl config writes
	// beside it.
	kubeconfig = state + "/user/kubeconfig"

	// network is where pods are, each under an address that no other had.
	network = "10.213.0.0/16"

	podAddrs = "10.213.%d.%d"

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
	kubeletAt = nodeAddr + ":10250"
)

// config is what up was told, or found.
type config struct {
	root                           string // of the project
	services, istio, jaeger, envoy string // programs: three folders, and a file
	kubelet, apply                 string // as the flags of up
	say                            func(format string, args ...any)
	stdout                         io.Writer
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
	case dir == own:
		path = filepath.Join(c.services, name)
	case dir+"/"+name == "jaegertracing/jaeger":
		path = filepath.Join(c.jaeger, "jaeger")
	case name == "proxyv2":
		path = filepath.Join(c.istio, "pilot-agent")
	case name == "pilot":
		path = filepath.Join(c.istio, "pilot-discovery")
	}
	return path, path != ""
}

// own is where the images of the project's services are.
const own = "localhost/tracebaton"

// complete fills in what up was not told, and returns what is missing on this
// machine.
func (c *config) complete() error {
	if os.Geteuid() != 0 {
		return errors.New("this needs root, to make network namespaces and iptables rules in them: sudo")
	}
	var missing []string
	for _, tool := range []struct{ name, pkg string }{
		{"etcd", "etcd-server"}, {"ip", "iproute2"}, {"iptables", "iptables"}, {"iptables-restore", "iptables"},
		{"nsenter", "util-linux"}, {"setpriv", "util-linux"}, {"sysctl", "procps"},
	} {
		if _, err := exec.LookPath(tool.name); err != nil {
			missing = append(missing, fmt.Sprintf("%s (on Debian, of the package %s)", tool.name, tool.pkg))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("not on PATH: %s", strings.Join(missing, ", "))
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
	c.root = root
	c.services = filepath.Join(root, "integration", "bin")
	c.istio = filepath.Join(root, "integration", "istio", "bin")
	c.jaeger = filepath.Join(root, "deploy", "jaeger", "bin")
	for _, image := range []string{own + "/sleep", "jaegertracing/jaeger", "istio/pilot", "istio/proxyv2"} {
		path, _ := c.program(image)
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s is not built: make mesh-tools", path)
		}
	}
	b, err := envoy.Find(c.root, c.envoy)
	if err != nil {
		return err
	}
	path, err := exec.LookPath(b.Path)
	if err == nil {
		c.envoy, err = filepath.EvalSymlinks(path)
	}
	return err
}
