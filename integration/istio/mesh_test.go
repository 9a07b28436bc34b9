// Package istio_test proves the walkthrough in a real Istio mesh, which
// integration/cmd/mesh runs on this machine. A mesh that is up already is used,
// and left up.
package istio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/envoy"
	"github.com/tracebaton/tracebaton/integration/jaeger"
)

const (
	patience = 2 * time.Minute
	tick     = 250 * time.Millisecond
)

// root is the repository, where the walkthrough's commands are run.
var root, _ = filepath.Abs("../..")

const kubeconfig = "/run/tracebaton-mesh/user/kubeconfig"

func TestMain(m *testing.M) { os.Exit(within(m)) }

// within runs the tests with a mesh, or skips them where none can be had, which
// is a failure in CI.
func within(m *testing.M) int {
	flag.Parse()
	if flag.Lookup("test.list").Value.String() != "" {
		return m.Run() // which runs none
	}
	missing := func(why string) int {
		_, _ = fmt.Println("SKIP: no Istio mesh: " + why)
		if os.Getenv("CI") != "" {
			return 1
		}
		return 0
	}
	command := []string{filepath.Join(root, "integration", "bin", "mesh")}
	if _, err := os.Stat(command[0]); err != nil {
		return missing("it is not built: make mesh-tools")
	}
	if os.Geteuid() != 0 {
		if exec.Command("sudo", "-n", "true").Run() != nil {
			return missing("it needs root, or sudo without a password")
		}
		command = append([]string{"sudo", "-n"}, command...)
	}
	mesh := func(args ...string) error {
		cmd := exec.Command(command[0], append(command[1:], args...)...)
		cmd.Dir = root
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		return cmd.Run()
	}
	_ = os.Setenv("KUBECONFIG", kubeconfig)
	_ = os.Setenv("PATH", filepath.Join(root, "integration", "istio", "bin")+":"+os.Getenv("PATH"))
	if _, err := os.Stat(kubeconfig); err == nil {
		return m.Run()
	}
	if err := mesh("up"); err != nil {
		fmt.Println("FAIL: mesh up:", err)
		_ = mesh("down")
		return 1
	}
	code := m.Run()
	if err := mesh("down"); err != nil {
		fmt.Println("FAIL:", err)
		return 1
	}
	if left := leftovers(); len(left) > 0 {
		fmt.Println("FAIL: mesh down left behind:", left)
		return 1
	}
	return code
}

// leftovers are what a mesh that is down has left on this machine.
func leftovers() []string {
	var left []string
	for _, pattern := range []string{"/run/netns/tracebaton.*", "/etc/netns/tracebaton.*", "/run/tracebaton-mesh", "/sys/class/net/tracebaton*"} {
		found, _ := filepath.Glob(pattern) // a good pattern
		left = append(left, found...)
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, p := range processes {
		exe, _ := os.Readlink(p) // of others' processes only root is told
		for _, dir := range []string{"/integration/istio/bin/", "/integration/bin/", "/run/tracebaton-mesh/"} {
			if strings.Contains(exe, dir) {
				left = append(left, exe)
			}
		}
	}
	return left
}

// The pages whose commands are run.
var walkthrough, beyond = page("walkthrough.md"), page("istio.md")

func page(name string) string {
	text, err := os.ReadFile(filepath.Join(root, "docs", name))
	if err != nil {
		panic(err)
	}
	return string(text)
}

// walk runs a command that the walkthrough or docs/istio.md has, word for word,
// and returns what it prints.
func walk(t require.TestingT, command string) string {
	onPage(t, command)
	return sh(t, command)
}

// onPage requires that the walkthrough or docs/istio.md has the command.
func onPage(t require.TestingT, command string) {
	require.True(t, strings.Contains(walkthrough+beyond, command+"\n"), "no page has the command %s", command)
}

// sh runs a command as in a terminal at the root of the repository, and returns
// what it prints.
func sh(t require.TestingT, command string) string {
	out, err := try(command)
	require.NoError(t, err, "%s\n%s", command, out)
	return out
}

// try runs a command that may fail.
func try(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -o pipefail\n"+command)
	cmd.Dir = root
	cmd.WaitDelay = time.Second     // what bash has started may hold its output
	var stdout, stderr bytes.Buffer // one after the other: kubectl mixes them as they come
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return stdout.String() + stderr.String(), err
}

// apply applies the manifests.
func apply(t *testing.T, manifests string) {
	t.Helper()
	cmd := exec.Command("kubectl", "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifests)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, manifests)
}

// restore has the mesh as the walkthrough has it after its section 6, whatever
// a test before has left.
func restore(t *testing.T) {
	t.Helper()
	for _, things := range []string{
		"telemetry/mesh-default -n istio-system", "telemetry/own virtualservice/echo-outside pod/plain service/flaskapp-v1 service/flaskapp-v2 -n tracebaton",
		"-f deploy/istio/gateway.yaml -f deploy/istio/gateway-sampling.yaml",
	} {
		sh(t, "kubectl delete --ignore-not-found "+things)
	}
	// Where the Gateway API's kinds are not there, its objects are not either.
	_, _ = try("kubectl delete --ignore-not-found -f deploy/gateway-api/gateway.yaml; kubectl delete --ignore-not-found -n tracebaton httproute/flaskapp")
	sh(t, "kubectl config set-context --current --namespace=tracebaton && kubectl apply -k deploy/istio && "+
		"kubectl delete --ignore-not-found -f deploy/istio/telemetry-w3c.yaml && kubectl rollout status deployment --timeout=2m")
	known(t)
}

// known waits until sidecars know pods that are new.
func known(t *testing.T) {
	t.Helper()
	eventually(t, func(c *assert.CollectT) {
		_, err := try("kubectl exec deploy/sleep-v1 -- sleep fetch -n 8 'http://flaskapp/fetch_with_trace?url=http://httpbin:8000/ip'")
		assert.NoError(c, err)
	})
}

var calls atomic.Int32

// fresh is a URL of httpbin that no other call has.
func fresh() string {
	return fmt.Sprintf("http://httpbin:8000/anything/%d-%d", os.Getpid(), calls.Add(1))
}

// fetch has sleep call the URL, with those flags, and returns what it prints.
func fetch(t require.TestingT, url string, flags ...string) string {
	return sh(t, fmt.Sprintf("kubectl exec deploy/sleep-v1 -- sleep fetch %s '%s'", strings.Join(flags, " "), url))
}

// pod is a pod as kubectl prints it.
type pod struct {
	Metadata struct {
		Name, Namespace, DeletionTimestamp string
		Labels                             map[string]string
	}
	Spec struct {
		InitContainers, Containers []struct{ Name, RestartPolicy string }
	}
	Status struct {
		PodIP      string
		Conditions []struct{ Type, Status string }
	}
}

// pods are those of kubectl get's arguments, without those that are about to go.
func pods(t require.TestingT, args string) []pod {
	var list struct{ Items []pod }
	out, err := exec.Command("bash", "-c", "kubectl get pods -o json "+args).Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &list))
	return slices.DeleteFunc(list.Items, func(p pod) bool { return p.Metadata.DeletionTimestamp != "" })
}

// jaegers is the mesh's Jaeger.
func jaegers(t require.TestingT) *jaeger.Server {
	list := pods(t, "-n tracebaton -l app=jaeger")
	require.Len(t, list, 1)
	ip := list[0].Status.PodIP
	return &jaeger.Server{URL: "http://" + ip + ":16686"}
}

var services = []string{"sleep.tracebaton", "flaskapp.tracebaton", "httpbin.tracebaton", "istio-ingressgateway.istio-system", "sleep", "flaskapp", "httpbin", "outside-istio.tracebaton"}

// stored are the traces in Jaeger with a span of a call of one of the URLs.
func stored(server *jaeger.Server, urls ...string) ([]jaeger.Trace, error) {
	found := map[string]jaeger.Trace{}
	for _, service := range services {
		for _, url := range urls {
			traces, err := server.FindTagged(service, "http.url", url)
			if err != nil {
				return nil, err
			}
			for _, trace := range traces {
				found[trace.ID] = trace
			}
		}
	}
	var all []jaeger.Trace
	for _, trace := range found {
		all = append(all, trace)
	}
	slices.SortFunc(all, func(a, b jaeger.Trace) int { return int(a.Spans[0].Start - b.Spans[0].Start) })
	return all, nil
}

// traces waits until the traces of the calls of the URLs are those, each as its
// tree, in the order of their start.
func traces(t *testing.T, trees []string, urls ...string) []jaeger.Trace {
	t.Helper()
	server := jaegers(t)
	var all []jaeger.Trace
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var err error
		all, err = stored(server, urls...)
		require.NoError(c, err)
		var got []string
		for _, trace := range all {
			got = append(got, "\n"+trace.Tree())
		}
		require.Equal(c, trees, got)
	}, patience, tick)
	return all
}

// mark returns once the spans of calls before are stored: it makes a call that
// is traced whatever the sampling, and waits for that one's. The sidecars of
// this mesh send a span when its request has ended.
func mark(t require.TestingT) {
	inner := fresh()
	fetch(t, "http://flaskapp/fetch_with_trace?url="+inner, "-H 'x-client-trace-id: mark'")
	server := jaegers(t)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		all, err := stored(server, inner)
		require.NoError(c, err)
		require.NotEmpty(c, all)
		last := all[len(all)-1].Spans
		require.Equal(c, "httpbin.tracebaton", last[len(last)-1].Service)
	}, patience, tick)
}

// trees of the walkthrough.
const (
	toFlaskapp = "flaskapp.tracebaton.svc.cluster.local:80/*"
	toHTTPBin  = "httpbin.tracebaton.svc.cluster.local:8000/*"

	whole = `
sleep.tracebaton: ` + toFlaskapp + `, client
  flaskapp.tracebaton: ` + toFlaskapp + `, server
    flaskapp.tracebaton: ` + toHTTPBin + `, client
      httpbin.tracebaton: ` + toHTTPBin + `, server
`
	before = `
sleep.tracebaton: ` + toFlaskapp + `, client
  flaskapp.tracebaton: ` + toFlaskapp + `, server
`
	after = `
flaskapp.tracebaton: ` + toHTTPBin + `, client
  httpbin.tracebaton: ` + toHTTPBin + `, server
`
)

// count is how often the output has each of its lines.
func count(out string) map[string]int {
	n := map[string]int{}
	for line := range strings.Lines(out) {
		n[strings.TrimSpace(line)]++
	}
	return n
}

// sidecarEnvoy is the Envoy that the sidecars run.
func sidecarEnvoy(t require.TestingT) envoy.Binary {
	out := sh(t, "kubectl exec deploy/sleep-v1 -c istio-proxy -- pilot-agent request GET server_info")
	var info struct{ Version string }
	decode(t, out, &info)
	return envoy.Binary{Version: strings.Split(info.Version, "/")[1]}
}

// decode reads the JSON values that a command has printed, one after the other.
func decode(t require.TestingT, out string, values ...any) {
	d := json.NewDecoder(bytes.NewBufferString(out))
	for _, v := range values {
		require.NoError(t, d.Decode(v), out)
	}
}
