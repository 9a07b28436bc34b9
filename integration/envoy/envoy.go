// Package envoy runs the Envoy that users run, as a mesh runs it beside a pod:
// with static configuration that has Istio's options for tracing, and without
// root or iptables.
package envoy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/process"
)

const (
	patience = time.Minute
	tick     = 20 * time.Millisecond
)

// Proxy is an Envoy on loopback. The test's end stops it.
type Proxy struct {
	process *process.Process
	admin   string            // URL
	addrs   map[string]string // of the listeners
}

// Hop is a request at a listener, as its access log has it.
type Hop struct {
	Listener  string
	RequestID string `json:"request_id"`
	TraceID   string `json:"trace_id"`
	SpanID    string `json:"span_id"`
	Status    int    `json:"response_code"`
}

// Start starts the Envoy and returns once it takes requests.
func Start(t process.T, b Binary, c Config) *Proxy {
	t.Helper()
	dir, err := os.MkdirTemp("", "envoy")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	text, err := c.YAML()
	require.NoError(t, err)
	config, admin := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "admin")
	require.NoError(t, os.WriteFile(config, text, 0o600))
	p := &Proxy{process: process.Start(t, nil, b.Path,
		"--config-path", config, "--admin-address-path", admin,
		"--concurrency", "1", "--disable-hot-restart", "--log-level", "warning",
		"--file-flush-interval-msec", "20")}
	p.await(t, "does not get ready", func() error {
		addr, err := os.ReadFile(admin) // #nosec G304 -- its own
		if err != nil {
			return err
		}
		p.admin = "http://" + string(addr)
		_, err = p.ask("/ready")
		return err
	})
	p.addrs = p.listeners(t)
	return p
}

// Addr is where the listener takes requests.
func (p *Proxy) Addr(listener string) string { return p.addrs[listener] }

// Stop asks the Envoy to end and waits until it has.
func (p *Proxy) Stop(t process.T) {
	t.Helper()
	p.process.Stop(t)
}

// Hops are the requests that the listener has logged, in the order of their
// end. That is soon after the caller has the answer.
func (p *Proxy) Hops(listener string) []Hop {
	var hops []Hop
	for line := range strings.Lines(p.process.Output()) {
		var hop Hop
		if json.Unmarshal([]byte(line), &hop) == nil && hop.Listener == listener {
			hops = append(hops, hop)
		}
	}
	return hops
}

// Settle returns once no request is under way and all spans of those before
// have been taken by where they go. Only after it can a test say that a span is
// not there.
func (p *Proxy) Settle(t process.T) {
	t.Helper()
	p.settle(t, `^http\.[^.]+\.downstream_rq_active$`) // a request's span is sent before it is no longer active
	p.settle(t, `^cluster\.(zipkin|otlp)\.upstream_rq_(pending_)?active$`)
}

// settle waits until all gauges whose names match are zero.
func (p *Proxy) settle(t process.T, gauges string) {
	t.Helper()
	p.await(t, "does not settle", func() error {
		stats, err := p.Stats(gauges)
		for name, value := range stats {
			if value != 0 && !strings.HasPrefix(name, "http.admin.") {
				return fmt.Errorf("%s is %d", name, value)
			}
		}
		return err
	})
}

// Stats are Envoy's counters and gauges whose names match the regular
// expression.
func (p *Proxy) Stats(filter string) (map[string]int, error) {
	text, err := p.ask("/stats?filter=" + filter)
	stats := map[string]int{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.Atoi(value); err == nil {
			stats[name] = n
		}
	}
	return stats, err
}

func (p *Proxy) listeners(t process.T) map[string]string {
	t.Helper()
	text, err := p.ask("/listeners?format=json")
	require.NoError(t, err)
	var all struct {
		ListenerStatuses []struct {
			Name         string
			LocalAddress struct {
				SocketAddress struct {
					Address   string
					PortValue int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	require.NoError(t, json.Unmarshal([]byte(text), &all), text)
	addrs := map[string]string{}
	for _, l := range all.ListenerStatuses {
		a := l.LocalAddress.SocketAddress
		addrs[l.Name] = fmt.Sprintf("%s:%d", a.Address, a.PortValue)
	}
	return addrs
}

func (p *Proxy) ask(path string) (string, error) {
	resp, err := (&http.Client{Timeout: patience}).Get(p.admin + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return string(body), err
}

// await waits until done returns nil, or the Envoy has ended.
func (p *Proxy) await(t process.T, failure string, done func() error) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		if p.process.Running() { // else no use in waiting: reported below
			assert.NoError(c, done())
		}
	}, patience, tick, "Envoy "+failure)
	require.True(t, p.process.Running(), "Envoy has ended")
}
