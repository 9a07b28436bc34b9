// Package sidecar_test sees that the Caddyfile makes of Caddy what the mesh's
// tests take it for.
package sidecar_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	traceID  = "463ac35c9f6413ad48485a3953bb6124"
	spanID   = "a2fb4a1d1a96d312"
	stale    = "0020000000000001"
	caddy    = "bin/caddy"
	patience = time.Minute
)

func need(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(caddy); err != nil {
		const what = "the sidecar is not built: make sidecar-build"
		if os.Getenv("CI") != "" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
}

func TestCaddyfileIsFormattedAsCaddyDoes(t *testing.T) {
	need(t)
	if out, err := exec.Command(caddy, "fmt", "--diff", "Caddyfile").CombinedOutput(); err != nil {
		t.Fatalf("run %s fmt --overwrite Caddyfile: %v\n%s", caddy, err, out)
	}
}

func TestSidecar(t *testing.T) {
	need(t)
	id := regexp.MustCompile(`^[0-9a-f]{32}$`)
	span := regexp.MustCompile(`^[0-9a-f]{16}$`)
	uuid := regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

	for _, tt := range []struct {
		name        string
		propagators string
		in          map[string]string
		check       func(t *testing.T, out http.Header)
	}{
		{"starts a trace and a request ID where there is none", "b3multi", nil, func(t *testing.T, out http.Header) {
			matches(t, out, "X-B3-Traceid", id)
			matches(t, out, "X-B3-Spanid", span)
			is(t, out, "X-B3-Sampled", "1")
			is(t, out, "X-B3-Parentspanid", "")
			matches(t, out, "X-Request-Id", uuid)
		}},
		{"joins the trace, keeps the request ID and drops the parent's parent", "b3multi", map[string]string{
			"X-B3-Traceid": traceID, "X-B3-Spanid": spanID, "X-B3-Parentspanid": stale, "X-B3-Sampled": "1", "X-Request-Id": "r-1",
		}, func(t *testing.T, out http.Header) {
			is(t, out, "X-B3-Traceid", traceID)
			matches(t, out, "X-B3-Spanid", span)
			if out.Get("X-B3-Spanid") == spanID {
				t.Error("it passes the caller's span on and has none of its own")
			}
			is(t, out, "X-B3-Parentspanid", "")
			is(t, out, "X-Request-Id", "r-1")
		}},
		{"takes an empty sampling decision for none, which Envoy does not", "b3multi", map[string]string{
			"X-B3-Sampled": "",
		}, func(t *testing.T, out http.Header) {
			matches(t, out, "X-B3-Traceid", id)
			is(t, out, "X-B3-Sampled", "1")
		}},
		{"leaves a request unsampled whose caller has decided so", "b3multi", map[string]string{
			"X-B3-Traceid": traceID, "X-B3-Spanid": spanID, "X-B3-Sampled": "0",
		}, func(t *testing.T, out http.Header) {
			is(t, out, "X-B3-Traceid", traceID)
			is(t, out, "X-B3-Sampled", "0")
		}},
		{"writes B3 in one header", "b3", nil, func(t *testing.T, out http.Header) {
			matches(t, out, "B3", regexp.MustCompile(`^[0-9a-f]{32}-[0-9a-f]{16}-1$`))
			is(t, out, "X-B3-Traceid", "")
		}},
		{"writes W3C and leaves B3 as it came", "tracecontext", map[string]string{
			"X-B3-Traceid": traceID, "X-B3-Spanid": spanID,
		}, func(t *testing.T, out http.Header) {
			matches(t, out, "Traceparent", regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`))
			if strings.Contains(out.Get("Traceparent"), traceID) {
				t.Error("it reads B3")
			}
			is(t, out, "X-B3-Spanid", spanID)
		}},
		{"believes the last of several formats and writes all", "b3multi,tracecontext", map[string]string{
			"X-B3-Traceid": stale + stale, "X-B3-Spanid": spanID, "Traceparent": "00-" + traceID + "-" + spanID + "-01",
		}, func(t *testing.T, out http.Header) {
			is(t, out, "X-B3-Traceid", traceID)
			is(t, out, "Traceparent", "00-"+traceID+"-"+out.Get("X-B3-Spanid")+"-01")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.check(t, through(t, tt.propagators, tt.in))
		})
	}
}

// through sends a request with the headers through a sidecar, and returns those
// that the service gets.
func through(t *testing.T, propagators string, header map[string]string) http.Header {
	t.Helper()
	got := make(chan http.Header, 1)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	defer service.Close()

	addr := start(t, service.Listener.Addr().String(), propagators)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the sidecar answers %s", res.Status)
	}
	return <-got
}

// start starts a sidecar, which the test's end stops, and returns its address
// once it listens.
func start(t *testing.T, upstream, propagators string) (addr string) {
	t.Helper()
	for addr == "" {
		// Below the ports that systems hand out by themselves.
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		addr = ln.Addr().String()
		_ = ln.Close()
	}

	cmd := exec.CommandContext(t.Context(), caddy, "run", "--config", "Caddyfile")
	cmd.Env = []string{
		"HOME=" + t.TempDir(),
		"SIDECAR_LISTEN=" + addr,
		"SIDECAR_UPSTREAM=" + upstream,
		"OTEL_PROPAGATORS=" + propagators,
		"OTEL_TRACES_EXPORTER=none",
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait()
	})

	ready := make(chan bool, 1)
	var log strings.Builder
	go func() {
		defer close(ended)
		lines := bufio.NewReader(stderr)
		for {
			line, err := lines.ReadString('\n')
			log.WriteString(line)
			if strings.Contains(line, "serving initial configuration") {
				ready <- true
				_, _ = io.Copy(io.Discard, lines)
				return
			}
			if err != nil {
				ready <- false
				return
			}
		}
	}()
	select {
	case ok := <-ready:
		if !ok {
			t.Fatalf("the sidecar does not start:\n%s", log.String())
		}
	case <-time.After(patience):
		t.Fatal("the sidecar does not listen")
	}
	return addr
}

func is(t *testing.T, h http.Header, name, want string) {
	t.Helper()
	if got := h.Get(name); got != want {
		t.Errorf("the service gets %s: %q, not %q", name, got, want)
	}
}

func matches(t *testing.T, h http.Header, name string, want *regexp.Regexp) {
	t.Helper()
	if got := h.Get(name); !want.MatchString(got) {
		t.Errorf("the service gets %s: %q, not %s", name, got, want)
	}
}
