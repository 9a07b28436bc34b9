package differential_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	otel "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tracebaton/tracebaton/propagation"
	"github.com/tracebaton/tracebaton/propagation/otelprop"
)

// before is the revision that the core is compared with: the last one with
// masks, a hash of names and joint lists.
const before = "66e8b54"

// oracle is a process that answers as that revision does.
type oracle struct {
	in  io.Writer
	out *bufio.Reader
}

func newOracle(tb testing.TB) *oracle {
	tb.Helper()
	dir := tb.TempDir()
	archive, err := exec.Command("git", "-C", "../..", "archive", before, "propagation").Output()
	if err != nil && os.Getenv("CI") == "" {
		tb.Skipf("this clone does not have revision %s: %v", before, err)
	}
	require.NoError(tb, err, "unpack revision %s: is this a shallow clone?", before)
	run := func(stdin string, name string, args ...string) {
		tb.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
		out, err := cmd.CombinedOutput()
		require.NoError(tb, err, "%s %v\n%s", name, args, out)
	}
	run(string(archive), "tar", "-x", "--exclude=*_test.go", "--exclude=propagationtest")
	main, err := os.ReadFile("testdata/before/main.go.txt")
	require.NoError(tb, err)
	require.NoError(tb, os.WriteFile(filepath.Join(dir, "main.go"), main, 0o600))
	mod, err := os.ReadFile("../go.mod")
	require.NoError(tb, err)
	_, requires, _ := strings.Cut(string(mod), "require (")
	var versions []string
	for line := range strings.Lines(requires) {
		if strings.HasPrefix(strings.TrimSpace(line), "go.opentelemetry.io/") && !strings.Contains(line, "instrumentation") {
			versions = append(versions, line)
		}
	}
	require.NoError(tb, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/before\n\ngo 1.26.0\n\nrequire (\n"+strings.Join(versions, "")+")\n"), 0o600))
	sum, err := os.ReadFile("../go.sum")
	require.NoError(tb, err)
	require.NoError(tb, os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600))
	run("", "go", "build", "-o", "before", ".")

	cmd := exec.Command(filepath.Join(dir, "before"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(tb, err)
	out, err := cmd.StdoutPipe()
	require.NoError(tb, err)
	require.NoError(tb, cmd.Start())
	tb.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &oracle{in, bufio.NewReader(out)}
}

type question struct {
	In, Dst      http.Header
	Outer, Inner int
}

type answer struct {
	Injected, Joined, Propagated http.Header
	All                          [][2]string
	Parent                       string
}

func (o *oracle) ask(tb testing.TB, q question) (a answer) {
	tb.Helper()
	line, err := json.Marshal(q)
	require.NoError(tb, err)
	_, err = o.in.Write(append(line, '\n'))
	require.NoError(tb, err)
	line, err = o.out.ReadBytes('\n')
	require.NoError(tb, err)
	require.NoError(tb, json.Unmarshal(line, &a))
	return a
}

var lists = []propagation.Families{
	{},
	propagation.Of(propagation.W3C, propagation.B3, propagation.RequestID),
	propagation.Istio().With(propagation.Baggage, propagation.Datadog, propagation.SkyWalking, propagation.GoogleCloud,
		propagation.GRPCTraceBin, propagation.XRay, propagation.Jaeger, propagation.Custom("end-user")),
	propagation.Of(propagation.Custom("end-user", "x-tenant")),
}

// now answers as the library does today.
func now(q question) (a answer) {
	h := lists[q.Inner].Extract(q.In)
	a.Injected = q.Dst.Clone()
	h.Inject(a.Injected)
	for name, value := range h.All() {
		a.All = append(a.All, [2]string{name, value})
	}
	r := &http.Request{Header: q.In}
	r = lists[q.Inner].Incoming(lists[q.Outer].Incoming(r))
	a.Joined = propagation.FromContext(r.Context()).Outgoing(&http.Request{Header: q.Dst}).Header

	p := otelprop.Propagator{Families: lists[q.Inner]}
	ctx := p.Extract(context.Background(), otel.HeaderCarrier(q.In))
	if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
		a.Parent = sc.TraceID().String() + "-" + sc.SpanID().String()
	}
	a.Propagated = http.Header{}
	p.Inject(ctx, otel.HeaderCarrier(a.Propagated))
	return a
}

// limited reports whether a family of in is near the limits, which count in
// another way now: 8,192 bytes of the joined values and 64 lines, where each
// line took its name and 32 bytes before.
func limited(in http.Header) bool {
	size, lines := 0, 0
	for name, values := range in {
		lines += len(values)
		for _, v := range values {
			size += len(v) + len(name) + 32
		}
	}
	return size > 8192 || lines > 64
}

// binary reports whether in has a grpc-trace-bin that is not base64, which is
// left out now.
func binary(in http.Header) bool {
	for _, v := range in["Grpc-Trace-Bin"] {
		for part := range strings.SplitSeq(v, ",") {
			if _, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Trim(part, " \t"), "=")); err != nil || strings.HasSuffix(part, "=") && len(strings.Trim(part, " \t"))%4 != 0 {
				return true
			}
		}
	}
	return false
}

var (
	// Flags that nobody knows are ignored now, and made a traceparent of
	// version 00 invalid before.
	unknownFlags = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-(0[4-9a-f]|[1-9a-f].)$`)

	// Nothing may follow version 00, and a hyphen must follow another.
	trailing = regexp.MustCompile(`^00-.{52}-$|^(?:[^0].|.[^0])-.{52}[^-]`)
)

// FuzzBefore compares with the library's first version: the same headers out
// for the same headers in, but for what is listed here.
func FuzzBefore(f *testing.F) {
	const ids = "463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312"
	f.Add("x-request-id: r\nx-b3-traceid: 463ac35c9f6413ad48485a3953bb6124\nx-b3-spanid: a2fb4a1d1a96d312\nx-b3-sampled: 1", "", uint8(0))
	f.Add("b3: "+ids+"-1\ntraceparent: 00-"+ids+"-09\ntracestate: a=1\ntracestate: b=2", "accept: */*", uint8(5))
	f.Add("b3: 0\nend-user: jason\nx-tenant: 7\nbaggage: a=1\ngrpc-trace-bin: AAE=", "x-b3-sampled: 1", uint8(14))
	f.Add("tracestate: \x00\ntraceparent: p\nx-datadog-tags: t\nsw8: 1\nx-amzn-trace-id: Root=1", "uber-trace-id: \nend-user: x", uint8(2))
	o := newOracle(f)
	f.Fuzz(func(t *testing.T, in, dst string, which uint8) {
		q := question{In: headerOf(in), Dst: headerOf(dst), Outer: int(which) % len(lists), Inner: int(which) / len(lists) % len(lists)}
		if limited(q.In) || binary(q.In) {
			return
		}
		was, is := o.ask(t, q), now(q)
		require.Equal(t, was.Injected, is.Injected)
		require.Equal(t, was.All, is.All)
		require.Equal(t, was.Joined, is.Joined)
		switch parent := q.In.Get("traceparent"); {
		case was.Parent == is.Parent:
			require.Equal(t, was.Propagated, is.Propagated)
		case unknownFlags.MatchString(parent) || trailing.MatchString(parent):
		default:
			// Within one trace, the fresher header wins now.
			require.NotEmpty(t, was.Parent)
			require.NotEmpty(t, is.Parent)
			require.Equal(t, was.Parent[:32], is.Parent[:32])
		}
	})
}

// headerOf makes a header of "name: value" lines. JSON carries no invalid
// UTF-8.
func headerOf(lines string) http.Header {
	h := http.Header{}
	for line := range strings.SplitSeq(strings.ToValidUTF8(lines, "?"), "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			h.Add(name, value)
		}
	}
	return h
}
