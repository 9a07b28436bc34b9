package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// productpage calls two services in turn and parses what they answer, as
// Bookinfo's does. The second call has headers only if whole says so.
func productpage(whole bool) func(upstream string) http.Handler {
	return func(upstream string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for i, path := range []string{"/details/0", "/reviews/0"} {
				req, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, upstream+path, nil)
				if i == 0 || whole {
					istio(req.Header, r.Header)
				}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					http.Error(w, err.Error(), http.StatusBadGateway)
					return
				}
				var parsed map[string]any
				err = json.NewDecoder(res.Body).Decode(&parsed)
				_ = res.Body.Close()
				if err != nil || path == "/reviews/0" && parsed["fail"] == true {
					http.Error(w, "<!DOCTYPE html><html><title>500 Internal\nServer Error</title><p>long</p></html>", http.StatusInternalServerError)
					return
				}
			}
		})
	}
}

func TestASecondCallThatCarriesNothingIsSeen(t *testing.T) {
	stdout, _, status := tracebaton(t, "", configured(t, productpage(false))...)
	assert.Equal(t, statusBroken, status)
	assert.Contains(t, flat(stdout), "none of the headers arrived (with every family, in GET /reviews/0, call 2 of 2)")
	stdout, _, status = tracebaton(t, "", configured(t, productpage(true))...)
	assert.Equal(t, statusWhole, status, stdout)
}

func TestAServiceThatFailsIsNeverSaidToBeWhole(t *testing.T) {
	args := configured(t, productpage(false))
	stdout, _, status := tracebaton(t, "", append(args, "-answer", "ok")...)
	assert.Equal(t, statusUnknown, status, stdout)
	assert.Contains(t, flat(stdout), "Could not tell: the service answered 500 Internal Server Error (500 Internal Server Error) after this call; calls that it makes later were not seen. "+
		"If it needs another answer than {} in JSON, give it with -answer. So far, it relays x-request-id, B3 and W3C.")
	args = configured(t, productpage(true))
	_, _, status = tracebaton(t, "", append(args, "-answer", `/reviews/*={"fail":true}`)...)
	assert.Equal(t, statusUnknown, status)
	_, _, status = tracebaton(t, "", append(args, "-answer", "ok", "-answer", "/details/*={}", "-answer", "/reviews/*={}")...)
	assert.Equal(t, statusWhole, status)
}

func TestFewerCallsThanExpectedCannotBeTold(t *testing.T) {
	t.Parallel()
	args := configured(t, productpage(true))
	stdout, _, status := tracebaton(t, "", append(args, "-expect-calls", "3")...)
	assert.Equal(t, statusUnknown, status)
	assert.Contains(t, flat(stdout), "Could not tell: the service called its upstream twice with every family, and -expect-calls says 3.")
	_, _, status = tracebaton(t, "", append(args, "-expect-calls", "2")...)
	assert.Equal(t, statusWhole, status)
}

func TestCallsThatComeAfterTheAnswerAreWaitedForIfTheyAreExpected(t *testing.T) {
	args := configured(t, func(upstream string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			call := func(path string) {
				req, _ := http.NewRequestWithContext(context.WithoutCancel(r.Context()), http.MethodGet, upstream+path, nil)
				istio(req.Header, r.Header)
				if res, err := http.DefaultClient.Do(req); err == nil {
					_ = res.Body.Close()
				}
			}
			call("/now")
			w.Header().Set("Content-Length", "2")
			_, _ = io.WriteString(w, "ok")
			_ = http.NewResponseController(w).Flush() // the answer is whole; the handler goes on, as a mirror does
			call("/later")
		})
	})
	var out bytes.Buffer
	status := run(t.Context(), append(args, "-expect-calls", "2"), env{
		stdout: &out, stderr: &out, random: rand.NewChaCha8([32]byte{1}), background: time.Minute, together: 20 * time.Millisecond,
	})
	assert.Equal(t, statusWhole, status, out.String())
}

// grpcFrontend calls its upstream over HTTP/2 in cleartext, as grpc-go does.
func grpcFrontend(t *testing.T) func(upstream string) http.Handler {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}}
	t.Cleanup(client.CloseIdleConnections)
	return func(upstream string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			req, _ := http.NewRequestWithContext(r.Context(), http.MethodPost, upstream+"/hipstershop.CurrencyService/Get", bytes.NewReader(make([]byte, 5)))
			istio(req.Header, r.Header)
			req.Header.Set("Content-Type", "application/grpc")
			req.Header.Set("Te", "trailers")
			req.Header.Set("User-Agent", "grpc-go/1.80.0")
			res, err := client.Do(req)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			defer func() { _ = res.Body.Close() }()
			if _, err := io.Copy(io.Discard, res.Body); err != nil || res.Trailer.Get("Grpc-Status") != "0" {
				http.Error(w, "rpc error: "+res.Trailer.Get("Grpc-Message"), http.StatusInternalServerError)
			}
		})
	}
}

func TestACallOfGRPCIsJudgedLikeAnyOther(t *testing.T) {
	args := configured(t, grpcFrontend(t))
	stdout, _, status := tracebaton(t, "", args...)
	assert.Equal(t, statusUnknown, status, stdout)
	assert.Contains(t, flat(stdout), "The call is one of gRPC, which got UNIMPLEMENTED: -answer '/hipstershop.CurrencyService/Get=' answers it with an empty message")
	assert.Contains(t, flat(stdout), "So far, it relays x-request-id, B3 and W3C.")
	stdout, _, status = tracebaton(t, "", append(args, "-answer", "/hipstershop.CurrencyService/Get=")...)
	assert.Equal(t, statusWhole, status, stdout)
	assert.Contains(t, flat(stdout), "called its upstream once, POST /hipstershop.CurrencyService/Get:")
	assert.NotContains(t, stdout, "PRI")
}

func TestTheUpstreamIsNamedInABodyAndAHeaderToo(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upstream := r.Header.Get("X-Target")
		if body, _ := io.ReadAll(r.Body); len(body) > 0 {
			upstream = string(body)
		}
		r.URL.RawQuery = "url=" + upstream
		call(w, r, http.DefaultClient, istio)
	}))
	defer s.Close()
	for _, args := range [][]string{{"-H", "X-Target: {upstream}"}, {"-d", "{upstream}"}} {
		stdout, _, status := tracebaton(t, "", append([]string{"check", s.URL}, args...)...)
		assert.Equal(t, statusWhole, status, stdout)
	}
}

func TestAServiceBehindTLSThatCallsOverTLS(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ca, err := os.ReadFile(file)
		if !assert.NoError(t, err) {
			return
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
		defer transport.CloseIdleConnections()
		call(w, r, &http.Client{Transport: transport}, istio)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	trusted := filepath.Join(t.TempDir(), "service.pem")
	require.NoError(t, os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	for _, args := range [][]string{{"-k"}, {"-cacert", trusted}} {
		stdout, _, status := tracebaton(t, "", append(args, "check", s.URL+"?url={upstream}", "-upstream-tls", file)[len(args):]...)
		assert.Equal(t, statusUnknown, status)
		assert.Contains(t, flat(stdout), "certificate is not valid here")
		stdout, _, status = tracebaton(t, "", append([]string{"check", s.URL + "?url={upstream}", "-upstream-tls", file}, args...)...)
		assert.Equal(t, statusWhole, status, stdout)
	}
	stdout, _, _ := tracebaton(t, "", "check", s.URL+"?url={upstream}", "-cacert", file+"2")
	assert.Contains(t, stdout, "cannot read -cacert")
}

func TestAnAnswerOutOfACacheIsSaidToBeOne(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Cache", "HIT") }))
	defer s.Close()
	stdout, _, status := tracebaton(t, "", "check", s.URL+"?url={upstream}")
	assert.Equal(t, statusUnknown, status)
	assert.Contains(t, flat(stdout), "the answer came out of a cache")
}

func TestWhatASidecarFillsInIsNotSaidToBeTheServices(t *testing.T) {
	client := &http.Client{Transport: sidecar{http.DefaultTransport, func(h http.Header) {
		h.Set("X-Request-Id", "7c1d6f0e-6f5d-9a3b-8a51-0d9c4e0b2f11")
		h.Set("X-Envoy-Expected-Rq-Timeout-Ms", "15000")
		zipkin(h)
	}}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { call(w, r, client, nil) }))
	defer s.Close()
	stdout, _, status := tracebaton(t, "", "check", s.URL+"?url={upstream}")
	assert.Equal(t, statusBroken, status)
	assert.Contains(t, flat(stdout), "none of the headers arrived, and the sidecar made new ones")
	assert.Contains(t, flat(stdout), "traffic.sidecar.istio.io/excludeOutboundPorts")
	assert.NotContains(t, stdout, "another ID")
}

// Envoy's Datadog tracer keeps the first line of tracestate only, which is no
// fault of the service before it.
func TestWhatASidecarLosesOfSeveralLinesIsANote(t *testing.T) {
	t.Parallel()
	for mark, want := range map[string]int{"X-Envoy-Attempt-Count": statusWhole, "X-Other": statusBroken} {
		client := &http.Client{Transport: sidecar{http.DefaultTransport, func(h http.Header) {
			h.Set(mark, "1")
			if values := h.Values("Tracestate"); len(values) > 1 {
				h.Set("Tracestate", values[0])
			}
		}}}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { call(w, r, client, istio) }))
		stdout, _, status := tracebaton(t, "", "check", s.URL+"?url={upstream}")
		s.Close()
		assert.Equal(t, want, status, stdout)
		assert.Contains(t, flat(stdout), "tracestate: member rojo was lost")
	}
}

func TestAProxyGetsAdviceForAProxy(t *testing.T) {
	args := configured(t, func(upstream string) http.Handler {
		u, _ := url.Parse(upstream)
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.Header.Set("X-Request-Id", "7c1d6f0e-6f5d-9a3b-8a51-0d9c4e0b2f11")
		}}
	})
	stdout, _, status := tracebaton(t, "", args...)
	assert.Equal(t, statusBroken, status, stdout) // an ID that is always the same is one of another request
	assert.Contains(t, flat(stdout), "Let the proxy set x-request-id only where the request has none")
	assert.NotContains(t, stdout, "In Go:")
}

func TestTheLanguageOfTheServiceIsHeeded(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"python-requests/2.32": "In Python:", "axios/1.7": "In Node.js:", "Java-http-client/21": "In Java:", "Go-http-client/1.1": "In Go:", "curl/8": "instruments both the server and the client",
	} {
		stdout, _, status := tracebaton(t, "", "check", serve(t, func(out, _ http.Header) { out.Set("User-Agent", agent) }))
		assert.Equal(t, statusBroken, status)
		assert.Contains(t, flat(stdout), want)
	}
}

func TestRequestsThatAreCrossedAreTold(t *testing.T) {
	// The second call of a request goes out with the headers of the request
	// that came last.
	var last atomic.Pointer[http.Header]
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last.Store(&r.Header)
		call(w, r, http.DefaultClient, istio)
		call(w, r, http.DefaultClient, func(out, _ http.Header) { istio(out, *last.Load()) })
	}))
	defer s.Close()
	var out bytes.Buffer
	status := run(t.Context(), []string{"check", s.URL + "?url={upstream}"}, env{
		stdout: &out, stderr: &out, random: rand.NewChaCha8([32]byte{1}), background: time.Millisecond, together: 10 * time.Second,
	})
	assert.Equal(t, statusBroken, status, out.String())
	assert.Contains(t, flat(out.String()), "arrived with the value of another request (with two requests at once")
}

func TestGitHubGetsAnnotations(t *testing.T) {
	t.Parallel()
	stdout, _, status := tracebaton(t, "", "check", "-format", "github", serve(t, otherTrace))
	assert.Equal(t, statusBroken, status)
	assert.True(t, strings.HasPrefix(stdout, "::error title=tracebaton check::Broken: drops x-request-id and W3C; begins a new trace in B3.%0Ahttp://"), stdout)
	for line := range strings.Lines(stdout) {
		assert.Regexp(t, `^::(error|notice) title=[^:]+::.+`, line)
	}
	stdout, _, _ = tracebaton(t, "", "check", "-format", "github", serve(t, child))
	assert.True(t, strings.HasPrefix(stdout, "::notice title=tracebaton check::Whole: "), stdout)
}

func TestTheReportFitsTheTerminal(t *testing.T) {
	t.Parallel()
	service := serve(t, otherTrace)
	for width, most := range map[int]int{0: 80, 80: 80, 132: 132} {
		var out bytes.Buffer
		run(t.Context(), []string{"check", "-v", service}, env{stdout: &out, stderr: &out, width: width, random: strings.NewReader(strings.Repeat("tracebaton", 1000)), background: time.Millisecond})
		for line := range strings.Lines(out.String()) {
			assert.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), most, line)
		}
	}
}

func TestEveryRequestIsShownWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	stdout, _, _ := tracebaton(t, "", "check", "-v", serve(t, child))
	for _, name := range []string{"every family", "a trace that is not sampled", "a high trace ID", "b3 alone", "no trace headers"} {
		assert.Contains(t, flat(stdout), "With "+name+", the service answered 200 OK")
	}
}

func TestVersionSaysWhatTheCommandWasBuiltFrom(t *testing.T) {
	stdout, _, status := tracebaton(t, "", "version")
	assert.Equal(t, statusWhole, status)
	assert.Regexp(t, `(?s)^tracebaton .+\nbuilt with go1\.`, stdout)
	info := &debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v0.2.0"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "1743a58"}, {Key: "vcs.modified", Value: "true"}}}
	assert.Equal(t, "tracebaton v0.2.0\nrevision 1743a58, and changes that are in none\nbuilt with go1.26.8\n", version(info))
	_, stderr, status := tracebaton(t, "", "version", "1")
	assert.Equal(t, statusUnknown, status)
	assert.Contains(t, stderr, "it takes no argument")
}

func TestAWordIsNearestToTheOneWithTheFewestChanges(t *testing.T) {
	assert.Equal(t, 3, distance("kitten", "sitting"))
	assert.Equal(t, 0, distance("b3", "b3"))
	assert.Equal(t, "datadog", nearest("datdog", []string{"b3", "datadog", "baggage"}))
}
