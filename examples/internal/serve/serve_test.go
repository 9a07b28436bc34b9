package serve_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tracebaton/tracebaton/examples/internal/serve"
	"github.com/tracebaton/tracebaton/examples/internal/telemetry"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(program(http.NotFoundHandler()).Main())
	}
	goleak.VerifyTestMain(m)
}

// asProgram is the variable of the environment that makes a program of the
// tests, for those that send it signals.
const asProgram = "SERVE_TEST_AS_PROGRAM"

// logged is a log that can be waited for.
type logged struct {
	mu    sync.Mutex
	lines []map[string]any
	added chan struct{}
}

func newLogged() *logged { return &logged{added: make(chan struct{}, 1000)} }

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := bufio.NewScanner(bytes.NewReader(p)); s.Scan(); {
		line := make(map[string]any)
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			line["text"] = s.Text()
		}
		l.lines = append(l.lines, line)
		l.added <- struct{}{}
	}
	return len(p), nil
}

// all returns the lines with the message.
func (l *logged) all(msg string) (lines []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if line["msg"] == msg {
			lines = append(lines, line)
		}
	}
	return lines
}

// wait returns the first line with the message, once there is one.
func (l *logged) wait(t *testing.T, msg string) map[string]any {
	t.Helper()
	for {
		if lines := l.all(msg); len(lines) > 0 {
			return lines[0]
		}
		select {
		case <-l.added:
		case <-t.Context().Done():
			t.Fatalf("no line with %q", msg)
		case <-time.After(10 * time.Second):
			t.Fatalf("no line with %q in 10 s", msg)
		}
	}
}

// running is a service that was started.
type running struct {
	url  string
	stop context.CancelFunc
	done chan error
	log  *logged
}

func start(t *testing.T, s *serve.Service) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{stop: stop, done: make(chan error, 1), log: newLogged()}
	s.Logger = serve.NewLogger(r.log)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.url = "http://" + ln.Addr().String()
	go func() { r.done <- s.Run(ctx, ln) }()
	t.Cleanup(stop)
	assert.Equal(t, ln.Addr().String(), r.log.wait(t, "listening")["addr"])
	return r
}

// get calls a URL over a connection of its own.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr}).Get(url)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode, string(body)
}

func TestHealthChecksAreAnsweredAndNothingElse(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracing, err := telemetry.New(t.Context(), telemetry.Config{Processor: spans})
	require.NoError(t, err)
	var got []string
	s := &serve.Service{Tracing: tracing, Handler: tracing.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, r.URL.Path+r.Pattern)
	}))}
	r := start(t, s)
	for _, path := range []string{"/healthz", "/readyz"} {
		status, body := get(t, r.url+path)
		assert.Equal(t, http.StatusOK, status)
		assert.Equal(t, "ok", body)
	}
	for _, path := range []string{"/", "/healthz/x", "//twice"} {
		status, _ := get(t, r.url+path)
		assert.Equal(t, http.StatusOK, status)
	}
	r.stop()
	require.NoError(t, <-r.done)
	assert.Equal(t, []string{"/", "/healthz/x", "//twice"}, got, "the service gets its requests as they are, and no health checks")
	assert.Len(t, spans.Ended(), 3, "health checks are not traced")
}

func TestRequestThatWasTakenIsFinished(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	r := start(t, &serve.Service{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-leave
		assert.NoError(t, r.Context().Err())
		_, _ = io.WriteString(w, "finished")
	})})
	answer := make(chan string)
	go func() {
		_, body := get(t, r.url)
		answer <- body
	}()
	<-entered
	r.stop()
	r.log.wait(t, "stopping")
	select {
	case err := <-r.done:
		t.Fatalf("did not wait for the request: %v", err)
	default:
	}
	close(leave)
	assert.Equal(t, "finished", <-answer)
	require.NoError(t, <-r.done)
}

func TestRequestThatDoesNotFinishIsCutOff(t *testing.T) {
	entered := make(chan struct{})
	r := start(t, &serve.Service{Grace: time.Millisecond, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})})
	failed := make(chan error)
	go func() {
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(r.url)
		if err == nil {
			_ = res.Body.Close()
		}
		failed <- err
	}()
	<-entered
	r.stop()
	require.ErrorIs(t, <-r.done, context.DeadlineExceeded)
	require.Error(t, <-failed)
}

func TestServiceThatStopsIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		client := &http.Client{Transport: &http.Transport{DialContext: ln.dial, DisableKeepAlives: true}}
		status := func(path string) int {
			res, err := client.Get("http://service" + path)
			if err != nil {
				return 0
			}
			defer func() { _ = res.Body.Close() }()
			return res.StatusCode
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		s := &serve.Service{Delay: time.Minute, Handler: http.NotFoundHandler(), Logger: slog.New(slog.DiscardHandler)}
		go func() { done <- s.Run(ctx, ln) }()
		assert.Equal(t, http.StatusOK, status("/readyz"))

		stop()
		time.Sleep(59 * time.Second)
		assert.Equal(t, http.StatusServiceUnavailable, status("/readyz"))
		assert.Equal(t, http.StatusOK, status("/healthz"), "it is not ill")
		assert.Equal(t, http.StatusNotFound, status("/"), "it still answers")

		time.Sleep(2 * time.Second)
		assert.Zero(t, status("/healthz"))
		require.NoError(t, <-done)
	})
}

// pipes is a listener in memory.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestSpansAreSentBeforeTheProcessEnds(t *testing.T) {
	exp := &exporter{}
	tracing, err := telemetry.New(t.Context(), telemetry.Config{Processor: sdktrace.NewBatchSpanProcessor(exp)})
	require.NoError(t, err)
	r := start(t, &serve.Service{Tracing: tracing, Handler: tracing.Handler(http.NotFoundHandler())})
	get(t, r.url)
	r.stop()
	require.NoError(t, <-r.done)
	assert.Equal(t, 1, exp.spans)
	assert.True(t, exp.stopped)
}

type exporter struct {
	spans   int
	stopped bool
}

func (e *exporter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.spans += len(spans)
	return nil
}

func (e *exporter) Shutdown(context.Context) error {
	e.stopped = true
	return nil
}

func TestEachRequestIsALineOfTheLog(t *testing.T) {
	log := newLogged()
	logger := serve.NewLogger(log)
	var tracing *telemetry.Tracing
	serveOne := func(h http.HandlerFunc) map[string]any {
		log.lines = nil
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/fetch?url=secret", nil)
		r.Header.Set("X-Request-Id", "r-1")
		r.Header.Set("X-B3-Traceid", "463ac35c9f6413ad")
		r.Header.Set("X-B3-Spanid", "a2fb4a1d1a96d312")
		func() {
			defer func() { _ = recover() }()
			tracing.Handler(serve.Log(logger)(h)).ServeHTTP(httptest.NewRecorder(), r)
		}()
		require.Len(t, log.lines, 1)
		line := log.lines[0]
		assert.Equal(t, "request", line["msg"])
		assert.Equal(t, "GET", line["method"])
		assert.Equal(t, "/fetch", line["path"])
		assert.Equal(t, "r-1", line["request_id"])
		assert.Equal(t, "463ac35c9f6413ad", line["trace_id"])
		assert.Contains(t, line, "duration_ms")
		return line
	}

	line := serveOne(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "12345") })
	assert.Equal(t, "INFO", line["level"])
	assert.EqualValues(t, 200, line["status"])
	assert.EqualValues(t, 5, line["bytes"])

	line = serveOne(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	assert.Equal(t, "WARN", line["level"])
	assert.EqualValues(t, 502, line["status"])
	assert.NotContains(t, line, "cut_off")

	line = serveOne(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "123")
		panic(http.ErrAbortHandler)
	})
	assert.Equal(t, "WARN", line["level"])
	assert.Equal(t, true, line["cut_off"])
	assert.EqualValues(t, 3, line["bytes"])
}

func program(h http.Handler) serve.Program {
	return serve.Program{
		Name: "demo", Addr: "127.0.0.1:0", Also: "       demo also\n", Help: "  DEMO  what it does\n",
		Service: func(env serve.Env) (*serve.Service, error) {
			if env.Getenv("FAIL") != "" {
				return nil, errors.New("told to fail")
			}
			return &serve.Service{Handler: env.Tracing.Handler(h)}, nil
		},
	}
}

func TestProgramServesUntilItIsStopped(t *testing.T) {
	env := map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_SERVICE_NAME": "other"}
	log := newLogged()
	ctx, stop := context.WithCancel(t.Context())
	status := make(chan int, 1)
	go func() {
		status <- program(http.NotFoundHandler()).Run(ctx, nil, func(name string) string { return env[name] }, log)
	}()
	line := log.wait(t, "listening")
	assert.Equal(t, "other", line["service"])
	addr := line["addr"].(string)
	assert.False(t, strings.HasSuffix(addr, ":0"), "%s is not the port that it got", addr)
	got, _ := get(t, "http://"+addr+"/nothing")
	assert.Equal(t, http.StatusNotFound, got)
	stop()
	assert.Zero(t, <-status)
	assert.Len(t, log.all("listening"), 1)
}

func TestSecondSignalEndsTheProgramAtOnce(t *testing.T) {
	log := newLogged()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asProgram+"=1", "OTEL_TRACES_EXPORTER=none", "SHUTDOWN_DELAY=1h")
	cmd.Stderr = log
	require.NoError(t, cmd.Start())
	log.wait(t, "listening")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	log.wait(t, "stopping")

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the state says how it ended
	}()
	// The line may be there before the signal's own effect is.
	assert.Eventually(t, func() bool {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}, 10*time.Second, 10*time.Millisecond)
	_ = cmd.Process.Kill() // if it has not
	<-ended
	assert.Equal(t, syscall.SIGTERM, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

func TestProgramSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	tests := []struct {
		name   string
		args   []string
		env    string
		status int
		says   string
	}{
		{"help is no error", []string{"-h"}, "", 0, "DEMO  what it does"},
		{"help has the other usage", []string{"-h"}, "", 0, "demo also"},
		{"help has the address of the environment", []string{"-h"}, "ADDR=1.2.3.4:5", 0, `(default "1.2.3.4:5")`},
		{"an unknown flag", []string{"-x"}, "", 2, "-x"},
		{"an argument", []string{"x"}, "", 2, `unknown argument "x"`},
		{"a taken port", []string{"-addr", taken.Addr().String()}, "", 1, "-addr"},
		{"a taken port from the environment", nil, "ADDR=" + taken.Addr().String(), 1, "address already in use"},
		{"an unknown exporter", nil, "OTEL_TRACES_EXPORTER=zipkin", 1, "otlp, jaeger, console or none"},
		{"a delay that is none", nil, "SHUTDOWN_DELAY=5", 1, "SHUTDOWN_DELAY"},
		{"a delay into the past", nil, "SHUTDOWN_DELAY=-5s", 1, "SHUTDOWN_DELAY"},
		{"a service that cannot be made", nil, "FAIL=1", 1, "told to fail"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			name, value, _ := strings.Cut(tt.env, "=")
			getenv := func(n string) string {
				if n == name {
					return value
				}
				return ""
			}
			status := program(http.NotFoundHandler()).Run(t.Context(), tt.args, getenv, &stderr)
			assert.Equal(t, tt.status, status)
			says := stderr.String()
			var line struct{ Error string }
			if json.Unmarshal(stderr.Bytes(), &line) == nil {
				says = line.Error
			}
			assert.Contains(t, says, tt.says)
		})
	}
}

func TestLogIsJSONWhereNobodyReadsIt(t *testing.T) {
	var b bytes.Buffer
	serve.NewLogger(&b).Info("hello", slog.Int("n", 1))
	var line map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &line))
	assert.Equal(t, "hello", line["msg"])
}
