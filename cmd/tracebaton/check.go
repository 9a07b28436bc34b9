package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tracebaton/tracebaton/internal/hop"
	"github.com/tracebaton/tracebaton/internal/lab"
	"github.com/tracebaton/tracebaton/propagation"
)

const checkUsage = `NAME
    tracebaton check - say whether a service relays trace headers

SYNOPSIS
    tracebaton check [flags] URL

DESCRIPTION
    check calls the URL of a service with trace headers that it makes up, and
    stands in for the upstream that the service calls in turn. It reads what it
    sent and what arrives as the next service would: one that reads B3, one that
    reads W3C, and so on. It says in which formats the trace goes on, what is
    wrong, why that matters, and what to do.

    {upstream} in the URL, in -d and in -H stands for the URL of the server that
    check starts:

        tracebaton check 'http://localhost:8080/fetch?url={upstream}'

    A service that speaks gRPC is called by grpc:// or, with TLS, grpcs://, the
    method's full name, and its message in JSON; it must have server reflection.
    {grpc-upstream} stands for the host and port of the upstream, for services
    that call over gRPC, too:

        tracebaton check grpc://localhost:9090/reviews.Reviews/Get \
            -d '{"ratings": "{grpc-upstream}"}'

    A service that is not told where its upstream is must be set up to call
    check in its place: give check an address with -upstream-addr, and leave
    {upstream} out.

    The upstream speaks HTTP/1.1 and HTTP/2 in cleartext, and TLS with
    -upstream-tls. It answers {} as JSON, or what the call accepts; a call of
    gRPC gets UNIMPLEMENTED. A service that needs another answer stops early,
    and check cannot tell: give that answer with -answer.

    check makes some twenty requests, among them one with all headers, one that
    is not sampled, low and high trace IDs, each format alone, decisions without
    IDs, and no trace headers at all. -v names them and shows what arrived.

    check cannot see whether a span that was made on the way reaches a store,
    nor what happens under load, with redirects, or after the response: package
    propagation/propagationtest tests that. docs/check.md has real services as
    examples, and the usual mistakes in each language.

OPTIONS
    -families list
        The names of the families that must arrive, separated by commas, or all.
        check sends and shows headers of the other families too, but finds no
        fault with them. Default: request-id,b3,w3c. A service that speaks one
        format is whole where the sidecars speak it as well:
        request-id,b3 for Istio's zipkin provider, request-id,w3c for its
        opentelemetry provider.

            request-id      x-request-id
            b3              x-b3-traceid, x-b3-spanid, x-b3-parentspanid,
                            x-b3-sampled, x-b3-flags and b3
            w3c             traceparent and tracestate
            ot              x-ot-span-context
            baggage         baggage
            datadog         x-datadog-trace-id, x-datadog-parent-id and others
            skywalking      sw8, sw8-correlation and sw8-x
            google-cloud    x-cloud-trace-context
            grpc-trace-bin  grpc-trace-bin
            xray            x-amzn-trace-id
            jaeger          uber-trace-id

        A header of your own is named as it is, such as end-user; one without a
        dash in its name ends in a colon, such as tenant: here.

    -H 'name: value'
        A header to send: one that the service needs, such as a token, or a
        trace header in place of the one that check makes up for the first
        request. May be repeated.

    -X method
        The method of the requests. Default: GET, or POST with -d.

    -d body
        The body of the requests. Its type is application/json unless -H says
        otherwise.

    -k
        Trust any certificate of the service.

    -cacert file
        Trust the authority whose certificate is in the file, in PEM.

    -upstream-addr address
        Where the upstream listens. Default: 127.0.0.1:0, any free port, which
        only this machine can reach.

    -upstream-url URL
        The URL by which the service reaches the upstream, such as
        http://host.docker.internal:9000. Default: http:// and the address.

    -upstream-tls file
        Speak TLS with a certificate made for this run, which is valid for the
        host of -upstream-url, the address and localhost. Write the authority
        that the service must trust into the file.

    -answer body
    -answer @file
    -answer /path=body
        What the upstream answers, to every call or to those of a path, in which
        * stands for anything: -answer '/details/*={"id":0}'. May be repeated.
        For a path that gRPC calls, the body is a message in protobuf's
        encoding; an empty body is an empty message.

    -answer-status [/path=]code
    -answer-header [/path=]'name: value'
        The status (default: 200; for gRPC its own status, default: 0) and the
        headers of the answers. May be repeated.

    -expect-calls n
        How many calls the service makes for a request. If there are fewer,
        check cannot tell. Default: 1.

    -timeout duration
        Time for each request, such as 30s. Default: 10s.

    -format text|json|github
        How to write the report: for people, as a JSON object with all values
        whole, or as annotations of a workflow at GitHub (::error). The object
        has url, verdict (whole, lost, overridden, broken, unknown), headline,
        reason (if unknown), language, sidecar, readers (family, verdict),
        probes (name, status, calls; each with its name and headers), and faults
        and notes (kind, severity, family, probe, call, headers, what, also,
        rule, why, do, hint).

    -json
        The same as -format json.

    -v
        Show every request and what arrived, not the first alone.

    -h
        Write this text.

VERDICTS
    The worst of all promised families and all calls is the service's.

    whole       every promised reader sees the trace, with its decision
    lost        the trace goes on; something beside it does not: the request ID,
                a member of tracestate or baggage, a header of your own
    overridden  the trace goes on with another sampling decision
    broken      a promised reader sees another trace, or none

    In the table of headers:

    relayed     as it was sent
    the same in other words
                written in another way, and read as it was sent
    a span of the same trace
                rewritten by a service, or a sidecar on the way, that makes a
                span of its own in the trace that was sent
    stale       as it was sent, while another format names a new span: right
                behind a sidecar, which renews only the format that it speaks
    left out    not there, and no reader needs it
    added       not sent, and no reader is misled by it
    lost, changed, invented
                not there; there with another value; there, and not sent

EXIT STATUS
    0   whole
    1   broken, overridden or lost
    2   could not tell: no answer, an answer of 5xx, the upstream was not
        called, or less often than expected, time was up, or the command was not
        understood

    go run makes every status but 0 a 1: build the command to tell them apart.

ENVIRONMENT
    NO_COLOR    if not empty: no colour on a terminal
    HTTP_PROXY, HTTPS_PROXY, NO_PROXY
                the proxy to send the requests through

EXAMPLES
    A service on this machine:

        tracebaton check 'http://localhost:8080/fetch_with_trace?url={upstream}'

    One in a container, which cannot reach this machine's loopback address:

        tracebaton check -upstream-addr :9000 \
            -upstream-url http://host.docker.internal:9000 \
            'http://localhost:8080/fetch_with_trace?url={upstream}'

    One in a cluster, from a shell in a pod of the same cluster, whose address
    is in POD_IP:

        tracebaton check -upstream-addr :9000 \
            -upstream-url "http://$POD_IP:9000" \
            'http://flaskapp/fetch_with_trace?url={upstream}'

    One whose upstreams are set in its configuration, here to localhost:9000,
    that calls two of them and needs what they answer:

        tracebaton check -upstream-addr :9000 -expect-calls 2 \
            -answer '/details/*={"id":0}' -answer '/reviews/*=@reviews.json' \
            http://localhost:9080/productpage

SEE ALSO
    tracebaton explain -h
`

// checkFlags is what check was asked.
type checkFlags struct {
	url                       string
	families                  []hop.Family
	method, body              string
	header                    http.Header
	insecure                  bool
	caCert                    string
	upstreamAddr, upstreamURL string
	upstreamTLS               string
	answers                   lab.Answers
	expectCalls               int
	timeout                   time.Duration
	format                    string
	verbose                   bool
}

// traces reports whether a header is one that probes have.
func (f checkFlags) traces(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(hop.Headers(hop.Known), name) || slices.Contains(hop.Headers(f.families), name)
}

func runCheck(ctx context.Context, args []string, e env) int {
	var f checkFlags
	var families string
	var json bool
	fs := flag.NewFlagSet("check", flag.ContinueOnError)
	fs.StringVar(&families, "families", "request-id,b3,w3c", "")
	fs.Func("H", "", func(s string) error {
		if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return fmt.Errorf("%q has a control character, which no header can have", s)
		}
		return addHeader(&f.header, s)
	})
	fs.StringVar(&f.method, "X", "", "")
	fs.StringVar(&f.body, "d", "", "")
	fs.BoolVar(&f.insecure, "k", false, "")
	fs.StringVar(&f.caCert, "cacert", "", "")
	fs.StringVar(&f.upstreamAddr, "upstream-addr", "", "")
	fs.StringVar(&f.upstreamURL, "upstream-url", "", "")
	fs.StringVar(&f.upstreamTLS, "upstream-tls", "", "")
	fs.Func("answer", "", f.answers.Add)
	fs.Func("answer-status", "", f.answers.AddStatus)
	fs.Func("answer-header", "", f.answers.AddHeader)
	fs.IntVar(&f.expectCalls, "expect-calls", 1, "")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Second, "")
	fs.StringVar(&f.format, "format", "text", "")
	fs.BoolVar(&json, "json", false, "")
	fs.BoolVar(&f.verbose, "v", false, "")
	arguments, status, ok := parseAll(fs, args, checkUsage, e)
	if !ok {
		return status
	}
	var err error
	if f.families, err = parseFamilies(families); err != nil {
		return fail(e, fs, err)
	}
	if len(arguments) > 0 {
		f.url = arguments[0]
	}
	if json {
		f.format = "json"
	}
	if err := f.understand(arguments); err != nil {
		return fail(e, fs, err)
	}

	report := check(ctx, f, e)
	write := map[string]func(env) error{"text": report.writeText, "json": report.writeJSON, "github": report.writeGitHub}[f.format]
	if err := write(e); err != nil {
		_, _ = fmt.Fprintln(e.stderr, "tracebaton check:", err)
		return statusUnknown
	}
	switch report.Verdict {
	case "whole":
		return statusWhole
	case "unknown":
		return statusUnknown
	}
	return statusBroken
}

// understand says what is wrong with what was asked.
func (f checkFlags) understand(arguments []string) error {
	switch {
	case len(arguments) == 0:
		return errors.New("no URL to check")
	case len(arguments) > 1:
		return fmt.Errorf("%q is a second URL; put a URL with & or ? into quotes", arguments[1])
	case f.timeout <= 0:
		return errors.New("-timeout must be above 0")
	case f.expectCalls < 1:
		return errors.New("-expect-calls must be above 0")
	case f.format != "text" && f.format != "json" && f.format != "github":
		return fmt.Errorf("-format %q is not text, json or github", f.format)
	}
	if b := (&bench{flags: f}); !b.told("{upstream}", "{grpc-upstream}") && f.upstreamAddr == "" {
		if f.speaksGRPC() {
			return errors.New("-d has no {upstream} and no {grpc-upstream}, so the service cannot know where to call; " +
				"if it is set up to call a certain address, have check listen there with -upstream-addr")
		}
		return errors.New("the URL has no {upstream}, so the service cannot know where to call; " +
			"if it is set up to call a certain address, have check listen there with -upstream-addr")
	}
	if f.speaksGRPC() {
		if err := f.understandGRPC(); err != nil {
			return err
		}
	} else if u, err := url.Parse(strings.ReplaceAll(f.url, "{upstream}", "x")); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is not an http://, https://, grpc:// or grpcs:// URL", f.url)
	}
	scheme := "http"
	if f.upstreamTLS != "" {
		scheme = "https"
	}
	switch u, err := url.Parse(f.upstreamURL); {
	case f.upstreamURL == "":
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("-upstream-url %q is not an %s:// URL", f.upstreamURL, scheme)
	case u.Scheme == "http" && f.upstreamTLS != "":
		return fmt.Errorf("-upstream-url %q is not an https:// URL, and -upstream-tls makes the upstream speak TLS", f.upstreamURL)
	case strings.ContainsAny(f.upstreamURL, "?#"):
		return fmt.Errorf("-upstream-url %q has a query or a fragment, behind which check cannot put a path", f.upstreamURL)
	}
	return nil
}

func addHeader(h *http.Header, s string) error {
	name, value, ok := strings.Cut(s, ":")
	if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " \t") {
		return fmt.Errorf("%q is not of the form 'name: value'", s)
	}
	if *h == nil {
		*h = make(http.Header)
	}
	h.Add(name, strings.TrimSpace(value))
	return nil
}

// meant are other words for families, and what is meant by them.
var meant = map[string]string{
	"tracecontext": "w3c", "trace-context": "w3c", "opentelemetry": "w3c", "otel": "w3c", "traceparent": "w3c",
	"zipkin": "b3", "b3multi": "b3", "b3single": "b3", "b3-multi": "b3", "b3-single": "b3",
	"x-ray": "xray", "aws": "xray", "dd": "datadog", "gcp": "google-cloud", "opentracing": "ot", "opencensus": "grpc-trace-bin", "uber": "jaeger",
}

func parseFamilies(list string) ([]hop.Family, error) {
	var families []hop.Family
	add := func(more ...hop.Family) {
		for _, f := range more {
			if !slices.ContainsFunc(families, func(g hop.Family) bool { return g.Name == f.Name }) {
				families = append(families, f)
			}
		}
	}
	for name := range strings.SplitSeq(list, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if f, ok := hop.Named(name); ok {
			add(f)
			continue
		}
		if name == "all" {
			add(hop.Known...)
			continue
		}
		if err := unknownFamily(name); err != nil {
			return nil, err
		}
		name = strings.TrimSuffix(name, ":")
		if err := custom(name); err != nil {
			return nil, err
		}
		add(hop.FamilyOf(name))
	}
	return families, nil
}

// unknownFamily returns an error for a name that is meant for a family's and is
// none, and so is hardly that of a header.
func unknownFamily(name string) error {
	var names []string
	for _, f := range hop.Known {
		names = append(names, f.Name)
	}
	did := "-families: there is no family %q; did you mean %s?"
	if of, ok := meant[name]; ok {
		return fmt.Errorf(did, name, of)
	}
	if of := hop.FamilyOf(strings.TrimSuffix(name, ":")); of.Name != strings.TrimSuffix(name, ":") {
		return fmt.Errorf("-families: %q is a header of the family %s; name that", name, of.Name)
	}
	near := nearest(name, names)
	switch {
	case name == "" || strings.HasSuffix(name, ":"):
		return nil
	case distance(name, near) <= 2 && len(name) > 3:
		return fmt.Errorf(did, name, near)
	case !strings.Contains(name, "-"):
		return fmt.Errorf(did+" A header of your own without a dash is written %[1]s:", name, near)
	}
	return nil
}

// custom says what is wrong with a name of a header that a user gave.
func custom(name string) (err error) {
	defer func() {
		if why := recover(); why != nil {
			err = fmt.Errorf("-families: %s", strings.TrimPrefix(fmt.Sprint(why), "propagation: "))
		}
	}()
	propagation.Custom(name)
	return nil
}

// check sends the requests and judges what arrives.
func check(ctx context.Context, f checkFlags, e env) *checkReport {
	c := &checker{report: &checkReport{URL: f.url, flags: f}}
	b, err := newBench(f, e)
	if err != nil {
		c.report.Reason = err.Error()
		return c.report.conclude(nil, nil)
	}
	defer b.close()
	c.bench = b

	probes := hop.Probes(f.families, e.random)
	override(probes[0].Sent, f)
	last := len(probes) - 1
	for _, p := range probes[:last] {
		c.ask(ctx, &probe{Probe: p})
	}
	meet := newMeeting(2)
	var two []*probe
	for range 2 {
		p := hop.Probes(f.families, e.random)[0]
		p.Name = "two requests at once"
		two = append(two, &probe{Probe: p, meet: meet})
	}
	c.ask(ctx, two...)
	// The one without headers comes last: what a service does for it in the
	// background could not be told from a call that has lost its headers.
	c.ask(ctx, &probe{Probe: probes[last]})
	return c.report.conclude(c.probes, c.outcomes())
}

// checker sends requests and writes down what they tell.
type checker struct {
	report *checkReport
	bench  *bench
	probes []*probe
}

func (c *checker) outcomes() (outcomes []hop.Outcome) {
	for _, p := range c.probes {
		outcomes = append(outcomes, hop.Outcome{Probe: p.Probe, Calls: p.judged})
	}
	return outcomes
}

// ask sends the requests, at once if there are several, unless it is known that
// they tell nothing. It keeps the reason if it shows that they do not.
func (c *checker) ask(ctx context.Context, probes ...*probe) {
	if c.report.Reason != "" || !hop.Tells(probes[0].Probe, c.report.flags.families, c.outcomes()) {
		return
	}
	c.bench.begin(probes...)
	var sent sync.WaitGroup
	for _, p := range probes {
		sent.Add(1)
		go func() {
			defer sent.Done()
			p.err = c.bench.send(ctx, p)
		}()
	}
	sent.Wait()
	c.probes = append(c.probes, probes...)
	for _, p := range probes {
		if p.err != nil && c.report.Reason == "" {
			if c.report.Reason = p.err.Error(); len(c.probes) > len(probes) {
				c.report.Reason = "with " + p.Name + ": " + c.report.Reason
			}
		}
	}
}

// override puts the trace headers that the user gave in place of those of the
// same family that would say otherwise.
func override(h http.Header, f checkFlags) {
	given := func(name string) bool { return len(f.header.Values(name)) > 0 }
	for _, family := range append(slices.Clone(hop.Known), f.families...) {
		if !slices.ContainsFunc(family.Headers, given) {
			continue
		}
		places := slices.ContainsFunc(family.Headers, func(name string) bool { return given(name) && hop.Places(name) })
		for _, name := range family.Headers {
			switch {
			case given(name):
				h[http.CanonicalHeaderKey(name)] = f.header.Values(name)
			case places && (hop.Places(name) || family.Name == "b3"), name == "b3":
				h.Del(name)
			case name == "x-b3-sampled" && given("x-b3-flags"):
				h.Del(name) // debug implies it
			}
		}
	}
}
