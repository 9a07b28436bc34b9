//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// asMesh has the test binary be the command.
const asMesh = "TEST_AS_MESH"

func TestMain(m *testing.M) {
	if os.Getenv(asMesh) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestUsage(t *testing.T) {
	for name, tt := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"help says what is real and what stands in": {[]string{"--help"}, 0, "What stands in"},
		"without a verb it says what there are":     {nil, exitUsage, "Usage: mesh up"},
		"it refuses a verb that it does not have":   {[]string{"sideways"}, exitUsage, "Usage: mesh up"},
		"it refuses a flag that it does not have":   {[]string{"up", "-fast"}, exitUsage, "-fast"},
		"it refuses arguments":                      {[]string{"up", "istio"}, exitUsage, `no argument "istio"`},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			require.Equal(t, tt.status, run(tt.args, &out, &out))
			require.Contains(t, out.String(), tt.says)
		})
	}
}

func TestUpWithoutRootSaysWhatItNeeds(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "up")
	if os.Geteuid() == 0 {
		// Another user must find it, and nobody can look into the folders of go
		// test's own.
		text, err := os.ReadFile(self)
		require.NoError(t, err)
		dir, err := os.MkdirTemp("/tmp", "mesh")
		require.NoError(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		require.NoError(t, os.Chmod(dir, 0o755))
		cmd.Path = filepath.Join(dir, "mesh")
		require.NoError(t, os.WriteFile(cmd.Path, text, 0o755))
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Env = append(os.Environ(), asMesh+"=1")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, exitFailed, cmd.ProcessState.ExitCode())
	require.Contains(t, string(out), "mesh up: this needs root")
	require.Contains(t, string(out), "sudo")
}

func TestProgramsOfImages(t *testing.T) {
	c := &config{services: "/services", istio: "/istio", jaeger: "/jaeger"}
	for image, want := range map[string]string{
		"localhost/tracebaton/sleep:0.1.0":           "/services/sleep",
		"jaegertracing/jaeger:2.13.0":                "/jaeger/jaeger",
		"docker.io/istio/pilot:1.31.1":               "/istio/pilot-discovery",
		"localhost:5000/istio/proxyv2@sha256:abcdef": "/istio/pilot-agent",
		"docker.io/prom/prometheus:v3.11.2":          "",
		"busybox":                                    "",
	} {
		got, ok := c.program(image)
		require.Equal(t, want, got, image)
		require.Equal(t, want != "", ok, image)
	}
}

func TestReadinessIsLostAsTheProbeSays(t *testing.T) {
	first, second, failed := &process{}, &process{}, errors.New("no answer within a second")
	probe := &corev1.Probe{FailureThreshold: 3}
	var h health
	for _, tt := range []struct {
		does string
		of   *process
		err  error
		want bool
	}{
		{"a container is not ready before its probe says so", first, failed, false},
		{"it is as soon as it does", first, nil, true},
		{"a failure leaves it ready", first, failed, true},
		{"and so does another", first, failed, true},
		{"a good answer forgets both", first, nil, true},
		{"one", first, failed, true},
		{"two", first, failed, true},
		{"three in a row are what the probe allows", first, failed, false},
		{"it is ready again", first, nil, true},
		{"a new process is not, before its probe says so", second, failed, false},
	} {
		require.Equal(t, tt.want, h.heard(tt.of, probe, tt.err), tt.does)
	}
}

// What up prints is what the pages tell a reader to type.
func TestDocsNameTheKubeconfig(t *testing.T) {
	for _, page := range []string{"walkthrough.md", "mesh.md"} {
		text, err := os.ReadFile(filepath.Join("../../../docs", page))
		require.NoError(t, err)
		line := "export KUBECONFIG=" + kubeconfig + " PATH="
		require.True(t, strings.Contains(string(text), line), "%s has no %q", page, line)
	}
}
