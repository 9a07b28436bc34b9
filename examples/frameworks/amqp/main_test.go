//go:build unix

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/frameworks/internal/exampletest"
	"github.com/tracebaton/tracebaton/propagation"
)

// rabbitmq is where Debian's rabbitmq-server keeps what its wrapper runs as
// another user.
const rabbitmq = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// broker returns a channel of a RabbitMQ of its own.
func broker(t *testing.T) *amqp.Channel {
	t.Helper()
	if _, err := os.Stat(rabbitmq); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no RabbitMQ: apt-get install rabbitmq-server")
		}
		t.Skip("no RabbitMQ: apt-get install rabbitmq-server")
	}
	dir, ports := t.TempDir(), freePorts(t, 3)
	port, names, cluster := ports[0], ports[1], ports[2]
	start(t, nil, "epmd", "-port", names, "-address", "127.0.0.1")
	start(t, []string{
		"HOME=" + dir,
		"ERL_EPMD_PORT=" + names,
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=example" + port + "@localhost",
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + port,
		"RABBITMQ_DIST_PORT=" + cluster,
		"RABBITMQ_MNESIA_BASE=" + dir,
		"RABBITMQ_LOGS=-",
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"),
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "none"),
		"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(dir, "none"),
	}, rabbitmq)
	var channel *amqp.Channel
	require.Eventually(t, func() bool {
		var err error
		channel, err = open("amqp://guest:guest@127.0.0.1:" + port + "/")
		return err == nil
	}, 2*time.Minute, 100*time.Millisecond)
	t.Cleanup(func() { _ = channel.Close() })
	return channel
}

// start runs a command, and what that starts, until the test ends.
func start(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", name, &output)
		}
	})
}

// freePorts returns ports that differ from each other.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { _ = listener.Close() }()
		ports = append(ports, fmt.Sprint(listener.Addr().(*net.TCPAddr).Port))
	}
	return ports
}

func TestAMessageKeepsTheTrace(t *testing.T) {
	channel := broker(t)
	exampletest.ConformsLater(t, func(client *http.Client) http.Handler {
		go func() { assert.NoError(t, consume(channel, client)) }()
		return publish(channel)
	})
}

func TestATableThatIsSetLineByLineKeepsTheLastLineOfARepeatedHeader(t *testing.T) {
	ctx := propagation.NewContext(t.Context(), families.Extract(exampletest.Trace("r")))
	set := make(amqp.Table)
	for name, value := range propagation.FromContext(ctx).All() {
		set[name] = value
	}
	tracestate := func(t amqp.Table) []string {
		return propagation.FromContext(received(ctx, t)).Values("tracestate")
	}
	assert.Equal(t, []string{"b=2"}, tracestate(set))
	assert.Equal(t, []string{"a=r,b=2"}, tracestate(table(ctx)), "one that is joined keeps both")
}

func TestATableFromAnotherLanguageMayHoldBytes(t *testing.T) {
	h := propagation.FromContext(received(t.Context(), amqp.Table{"X-Request-Id": []byte("r"), "traceparent": 1}))
	assert.Equal(t, "r", h.Get("x-request-id"))
	assert.Empty(t, h.Get("traceparent"), "what is no text is no header")
}
