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
	"time"

	"github.com/tracebaton/tracebaton/internal/hop"
	"github.com/tracebaton/tracebaton/internal/wire"
	"github.com/tracebaton/tracebaton/propagation"
)

const checkUsage = `NAME
    tracebaton check - say whether a service passes trace headers on

SYNOPSIS
    tracebaton check [flags] URL

DESCRIPTION
    Check calls the URL of a service with trace headers that it makes up, and
    is the upstream that the service calls in turn. What arrives there it
    compares with what was sent, header by header, says what is wrong with it,
    why that breaks traces, and what to do.

    {upstream} in the URL stands for the URL of the server that check starts:

        tracebaton check 'http://localhost:8080/fetch?url={upstream}'

    A service that is not told where its upstream is must be set up to call
    check in its place: give check an address with -upstream-addr, and leave
    {upstream} out.

    Check makes up to five requests: with headers of every family and a sampled
    trace, with the renewed formats alone if others arrived stale, with a trace
    ID of 64 bits, with a sampling decision alone, and with no trace headers at
    all.

    A service that makes no spans must pass headers on as they are. One that
    does puts its own span into those of B3 and W3C; check finds out which from
    what arrives. It cannot see whether that span reaches a store, nor what
    happens under load, with redirects, or after the response: package
    propagation/propagationtest tests that.

OPTIONS
    -families list
        The families that must arrive, by name and separated by commas; all is
        all of them. Headers of the others are sent too and shown, but nothing
        is said about them. Default: request-id,b3,w3c,ot, which are those of
        an Istio mesh. A service that speaks one format only is whole where the
        sidecars speak it as well: request-id,b3 for Istio's zipkin provider,
        request-id,w3c for its opentelemetry provider.

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

        Any other name is that of a header of your own, such as end-user.

    -H 'name: value'
        A header to send: one that the service needs, such as a token, or a
        trace header in place of the one that check makes up for the first
        request. May be repeated.

    -X method
        The method of the requests. Default: GET, or POST with -d.

    -d body
        The body of the requests. Its type is application/json unless -H says
        otherwise.

    -upstream-addr address
        Where the upstream listens. Default: 127.0.0.1:0, any free port, which
        only this machine can reach.

    -upstream-url URL
        The URL under which the service reaches the upstream, if that is not
        http:// and the address, such as http://host.docker.internal:9000.

    -timeout duration
        Time for each request, such as 30s. Default: 10s.

    -json
        Write a JSON object, with all values whole, in place of the table: url,
        verdict (whole, broken, unknown), reason (if unknown), probes (name,
        status, calls, call, headers), faults (kind, probe, headers, what, rule,
        why, do) and notes. Of several calls, call is the one that most is wrong
        with.

    -h
        Write this text.

VERDICTS
    relayed     as it was sent
    re-encoded as a child span
                rewritten by a service, or a sidecar on the way, that makes a
                span of its own in the trace that was sent
    stale       as it was sent, while another format names a new span: right
                behind a sidecar, which renews only the format that it speaks
    lost        not there
    changed     there with another value
    invented    there, and not sent

    A request ID is relayed if a sidecar has changed no more of it than its
    trace reason, the character at index 14.

EXIT STATUS
    0   whole: what must arrive did
    1   broken
    2   could not tell: no answer, the upstream was not called, time was up, or
        the command was not understood

ENVIRONMENT
    NO_COLOR    if not empty: no colour, which else there is on a terminal
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

    One whose upstream is set in its configuration, here to localhost:9000, and
    is called by nobody else meanwhile:

        tracebaton check -upstream-addr :9000 http://localhost:8080/productpage

SEE ALSO
    tracebaton explain -h
`

// checkFlags is what check was asked.
type checkFlags struct {
	url          string
	families     propagation.Families
	method, body string
	header       http.Header
	upstreamAddr string
	upstreamURL  string
	timeout      time.Duration
	json         bool
}

// checkReport is what check found out. It is what -json writes.
type checkReport struct {
	URL     string       `json:"url"`
	Verdict string       `json:"verdict"`
	Reason  string       `json:"reason,omitempty"`
	Probes  []*probe     `json:"probes"`
	Faults  []checkFault `json:"faults"`
	Notes   []string     `json:"notes,omitempty"`
}

type checkFault struct {
	Kind    hop.Kind `json:"kind"`
	Probe   string   `json:"probe"`
	Headers []string `json:"headers"`
	What    string   `json:"what"`
	Rule    string   `json:"rule"`
	Why     string   `json:"why"`
	Do      string   `json:"do"`
}

func runCheck(ctx context.Context, args []string, e env) int {
	var f checkFlags
	var families string
	fs := flag.NewFlagSet("check", flag.ContinueOnError)
	fs.StringVar(&families, "families", "request-id,b3,w3c,ot", "")
	fs.Func("H", "", func(s string) error {
		if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return fmt.Errorf("%q has a control character, which no header can have", s)
		}
		return addHeader(&f.header, s)
	})
	fs.StringVar(&f.method, "X", "", "")
	fs.StringVar(&f.body, "d", "", "")
	fs.StringVar(&f.upstreamAddr, "upstream-addr", "", "")
	fs.StringVar(&f.upstreamURL, "upstream-url", "", "")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Second, "")
	fs.BoolVar(&f.json, "json", false, "")
	if status, ok := parse(fs, args, checkUsage, e); !ok {
		return status
	}
	var err error
	switch f.families, err = parseFamilies(families); {
	case err != nil:
		return fail(e, fs, err)
	case fs.NArg() == 0:
		return fail(e, fs, errors.New("no URL to check"))
	case fs.NArg() > 1:
		return fail(e, fs, fmt.Errorf("%q comes after the URL; flags go before it, and a URL with & or ? into quotes", fs.Arg(1)))
	case f.timeout <= 0:
		return fail(e, fs, errors.New("-timeout must be above 0"))
	}
	f.url = fs.Arg(0)
	if !strings.Contains(f.url, "{upstream}") && f.upstreamAddr == "" {
		return fail(e, fs, errors.New("the URL has no {upstream}, so the service cannot know where to call; "+
			"if it is set up to call a certain address, have check listen there with -upstream-addr"))
	}
	if u, err := url.Parse(strings.ReplaceAll(f.url, "{upstream}", "x")); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fail(e, fs, fmt.Errorf("%q is not an http:// or https:// URL", f.url))
	}
	switch u, err := url.Parse(f.upstreamURL); {
	case f.upstreamURL == "":
	case err != nil || u.Scheme != "http" || u.Host == "":
		return fail(e, fs, fmt.Errorf("-upstream-url %q is not an http:// URL", f.upstreamURL))
	case strings.ContainsAny(f.upstreamURL, "?#"):
		return fail(e, fs, fmt.Errorf("-upstream-url %q has a query or a fragment, behind which check cannot put a path", f.upstreamURL))
	}

	report := check(ctx, f, e)
	if f.json {
		err = report.writeJSON(e)
	} else {
		err = report.writeText(e)
	}
	if err != nil {
		_, _ = fmt.Fprintln(e.stderr, "tracebaton check:", err)
		return statusUnknown
	}
	return map[string]int{"whole": statusWhole, "broken": statusBroken, "unknown": statusUnknown}[report.Verdict]
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

func parseFamilies(list string) (propagation.Families, error) {
	var families []propagation.Family
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(hop.Known, func(f hop.Family) bool { return f.Name == name })
		switch {
		case i >= 0:
			families = append(families, hop.Known[i].Family)
		case name == "all":
			for _, f := range hop.Known {
				families = append(families, f.Family)
			}
		default:
			f, err := custom(name)
			if err != nil {
				return propagation.Families{}, err
			}
			families = append(families, f)
		}
	}
	return propagation.Of(families...), nil
}

// custom is propagation.Custom for a name that a user gave.
func custom(name string) (f propagation.Family, err error) {
	defer func() {
		if why := recover(); why != nil {
			err = fmt.Errorf("-families: %s", strings.TrimPrefix(fmt.Sprint(why), "propagation: "))
		}
	}()
	return propagation.Custom(name), nil
}

// check sends the requests and judges what arrives.
func check(ctx context.Context, f checkFlags, e env) *checkReport {
	r := &checkReport{URL: f.url, Verdict: "unknown", Probes: []*probe{}, Faults: []checkFault{}}
	l, err := newLab(f)
	if err != nil {
		r.Reason = err.Error()
		return r
	}
	defer l.close()
	c := &checker{checkReport: r, lab: l, told: make(map[hop.Kind]bool)}

	required := hop.Names(f.families)
	keep := func(names ...string) []string {
		return slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(required, name) })
	}
	everything := &probe{Name: "every family", trace: hop.NewTrace(e.random)}
	everything.sent = everything.trace.Header(hop.AllNames(f.families)...)
	override(everything.sent, f)
	faults := c.ask(ctx, everything)
	renewed, stale := hop.Renewed(everything.Headers)
	if len(stale) > 0 {
		names := slices.DeleteFunc(slices.Clone(required), func(name string) bool { return slices.Contains(stale, hop.FormatOf(name)) })
		faults = c.alone(ctx, faults, renewed, stale, made(hop.Formats(renewed)+" alone", hop.NewTrace(e.random), names))
	}
	c.add(everything, faults)
	// Where B3 is lost, or is not what the service's neighbours speak, what
	// becomes of B3 alone says nothing more.
	if len(keep("x-b3-traceid")) > 0 && !slices.Contains(stale, wire.B3Multi) && r.verdict("x-b3-spanid") != hop.Lost {
		short, decided := hop.NewTrace(e.random).Short(), hop.NewTrace(e.random)
		c.judge(ctx, made("a trace ID of 64 bits", short, keep("x-request-id", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled")))
		c.judge(ctx, made("a sampling decision alone", decided, keep("x-request-id", "x-b3-sampled")))
	}
	c.judge(ctx, made("no trace headers", hop.Trace{}, nil))

	switch {
	case len(r.Faults) > 0:
		r.Verdict = "broken"
	case r.Reason == "":
		r.Verdict = "whole"
	}
	r.note()
	return r
}

// checker sends requests and writes down what they tell.
type checker struct {
	*checkReport
	lab  *lab
	told map[hop.Kind]bool
	lost bool
}

// made returns a probe with the named headers for the trace.
func made(name string, t hop.Trace, names []string) *probe {
	return &probe{Name: name, trace: t, sent: t.Header(names...)}
}

// ask sends a request, unless one before it told nothing, and returns what is
// wrong with the calls that it led to.
func (c *checker) ask(ctx context.Context, p *probe) []hop.Fault {
	if c.Reason != "" {
		return nil
	}
	c.Probes = append(c.Probes, p)
	if err := c.lab.send(ctx, p); err != nil {
		if c.Reason = err.Error(); len(c.Probes) > 1 {
			c.Reason = "with " + p.Name + ": " + c.Reason
		}
		return nil
	}
	return c.lab.judge(p)
}

func (c *checker) judge(ctx context.Context, p *probe) { c.add(p, c.ask(ctx, p)) }

func (c *checker) add(p *probe, faults []hop.Fault) {
	for _, f := range faults {
		if f.Kind == hop.OneFormat && slices.Equal(f.Headers, []string{"b3"}) {
			// Sidecars write the other.
			c.Notes = append(c.Notes, "b3 did not arrive, and x-b3-* did. That is enough unless somebody sends b3 alone.")
			continue
		}
		// What is lost with all headers is lost with fewer, too, and what is
		// wrong with a header that came is so when it did not come.
		if c.told[f.Kind] || c.lost && f.Kind.Lost() || f.Kind == hop.NotSent && c.speaksOf(f.Headers) {
			continue
		}
		c.Faults = append(c.Faults, checkFault{
			Kind: f.Kind, Probe: p.Name, Headers: f.Headers, What: f.What, Rule: f.Rule(), Why: f.Why(), Do: f.Do(),
		})
	}
	for _, f := range c.Faults {
		c.told[f.Kind] = true
		c.lost = c.lost || f.Kind.Lost()
	}
}

// alone sends the formats that came out renewed without those that came out
// stale, and returns which of the faults stand. A sidecar renews the format
// that it speaks, and only check sends it others beside that: if the trace is
// whole without them, nobody has made a mistake.
func (c *checker) alone(ctx context.Context, faults []hop.Fault, renewed, stale []wire.Format, p *probe) []hop.Fault {
	found := c.ask(ctx, p)
	if len(found) > 0 || c.Reason != "" {
		c.add(c.Probes[0], faults)
		c.add(p, found)
		return nil
	}
	c.Notes = append(c.Notes, fmt.Sprintf("Something on the way, a sidecar, a gateway or the service, writes its own span into %s, and passes %s on as sent. "+
		"That is right where nobody reads %[2]s; else whoever makes that span must renew or remove them all.",
		hop.Formats(renewed), hop.Formats(stale)))
	return slices.DeleteFunc(faults, func(f hop.Fault) bool { return f.Kind == hop.Disagree })
}

// override puts the trace headers that the user gave in place of those of the
// same family.
func override(h http.Header, f checkFlags) {
	for _, family := range hop.Known {
		names := hop.Names(propagation.Of(family.Family))
		if slices.ContainsFunc(names, func(name string) bool { return len(f.header.Values(name)) > 0 }) {
			for _, name := range names {
				h.Del(name)
			}
		}
	}
	for _, name := range hop.AllNames(f.families) {
		if values := f.header.Values(name); len(values) > 0 {
			h[http.CanonicalHeaderKey(name)] = values
		}
	}
}

// speaksOf reports whether there are faults of all the headers.
func (r *checkReport) speaksOf(headers []string) bool {
	return !slices.ContainsFunc(headers, func(name string) bool {
		return !slices.ContainsFunc(r.Faults, func(f checkFault) bool { return slices.Contains(f.Headers, name) })
	})
}

// verdict returns what became of a header in the first request.
func (r *checkReport) verdict(name string) hop.Verdict {
	for _, row := range r.Probes[0].Headers {
		if row.Name == name {
			return row.Verdict
		}
	}
	return ""
}

// note adds what is good to know and no fault.
func (r *checkReport) note() {
	rows := r.Probes[0].Headers
	for _, row := range rows {
		if row.Name == "x-request-id" && len(row.Sent) > 0 {
			if _, ok := wire.TraceReason(row.Sent[0]); !ok {
				r.Notes = append(r.Notes, "The x-request-id that you sent is not a UUID: Envoy cannot mark its trace decision in it.")
			}
		}
	}
	if p := r.Probes[0]; p.carried != "" && len(r.Faults) > 0 && r.Faults[0].Probe == p.Name && r.Faults[0].Kind.AllLost() {
		r.Notes = append(r.Notes, fmt.Sprintf("Another call carried the trace: %s. If %s is not made for the request, as a health check is not, it is right without.", printable(p.carried), printable(p.Call)))
	}
	switch {
	case r.Verdict == "whole":
	case r.verdict("traceparent") == hop.Reencoded && r.verdict("x-b3-traceid") == hop.Lost:
		r.Notes = append(r.Notes, "The service speaks W3C only. That is enough where the sidecars speak it (Istio's opentelemetry provider): check it with -families request-id,w3c.")
	case r.verdict("traceparent") == hop.Lost && (r.verdict("x-b3-spanid") == hop.Reencoded || r.verdict("b3") == hop.Reencoded):
		r.Notes = append(r.Notes, "The service speaks B3 only. That is enough where the sidecars speak it (Istio's zipkin provider): check it with -families request-id,b3.")
	}
	if _, stale := hop.Renewed(rows); r.Verdict == "whole" && r.verdict("x-b3-spanid") == hop.Reencoded && len(stale) == 0 {
		r.Notes = append(r.Notes, "A span was made on the way. If the service exports it, the tree is whole; check cannot see that.")
	}
}
