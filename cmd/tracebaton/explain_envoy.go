package main

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tracebaton/tracebaton/internal/hop"
	"github.com/tracebaton/tracebaton/internal/wire"
)

// envoyVersion is the minor version of Envoy 1 that explain speaks of. What it
// says was tried with 1.38.3, 1.39.3 and 1.40.0.
type envoyVersion int

const newestEnvoy envoyVersion = 40

var envoyVersions = regexp.MustCompile(`^v?1\.([0-9]{1,3})(?:\.[0-9]+)?$`)

// Set and String make it a flag.
func (v *envoyVersion) Set(s string) error {
	found := envoyVersions.FindStringSubmatch(s)
	if found == nil {
		return fmt.Errorf("%q is not a version of Envoy, such as 1.38", s)
	}
	n, err := strconv.Atoi(found[1])
	*v = envoyVersion(n)
	return err
}

func (v *envoyVersion) String() string { return fmt.Sprintf("1.%d", *v) }

// ownYes says that the OpenTelemetry tracer samples nothing that Envoy itself
// does not want, whatever traceparent says: since 1.39,
// https://github.com/envoyproxy/envoy/pull/45830.
func (v envoyVersion) ownYes() bool { return v >= 39 }

// renewsB3 says that the Zipkin tracer writes b3 where b3 came, and not x-b3-*:
// since 1.40, https://github.com/envoyproxy/envoy/issues/47515.
func (v envoyVersion) renewsB3() bool { return v >= 40 }

// reasons are what Envoy writes into a request ID.
var reasons = map[byte]string{
	'4': "no reason: no sidecar has sampled the request so far, or pack_trace_reason is off. A sidecar that samples writes 9",
	'9': "sampled: the mesh's random sampling picked the request",
	'a': "forced by a service, with x-envoy-force-trace, which Envoy obeys only from addresses that internal_address_config names",
	'b': "asked for by a client, with x-client-trace-id, which Envoy obeys from anybody",
}

func hasReason(reason byte) bool { return reason == '9' || reason == 'a' || reason == 'b' }

var eightDigits = regexp.MustCompile(`^[0-9a-fA-F]{8}`)

func (x *explanation) requestID(h http.Header) {
	values := h.Values("x-request-id")
	if len(values) == 0 {
		return
	}
	id := strings.Join(values, ",")
	x.title("x-request-id: " + strings.Join(values, ", "))
	reason, packed := wire.TraceReason(id)
	switch {
	case len(values) > 1:
		x.wrong(fmt.Sprintf("It is there %d times. Envoy joins them with a comma, and writes its reason only into 36 characters: these are %d.", len(values), len(id)))
	case id == "":
		x.wrong("Empty, which Envoy takes for none: the next sidecar puts a new ID in its place, and the logs and decisions before and after it cannot be joined.")
		return
	case !packed:
		x.say(fmt.Sprintf("Not a UUID. Envoy keeps a reason to trace only in an ID of 36 characters; this one has %d, so that every sidecar decides for itself.", len(id)))
	case !wire.IsUUID(id):
		x.say("As long as a UUID but none. Envoy looks at the length alone, and writes its reason to index 14.")
		fallthrough
	default:
		if reasons[reason] != "" {
			x.item("reason", fmt.Sprintf("%c, at index 14: %s", reason, reasons[reason]))
		} else {
			x.item("reason", fmt.Sprintf("%s, at index 14: none of Envoy's, so that each sidecar decides, and writes 9 if it samples the request", printable(string(reason))))
		}
	}
	switch {
	case packed && hasReason(reason):
	case eightDigits.MatchString(id):
		x.say("Where it has to decide, Envoy samples by the first eight digits: sidecars with the same rate decide alike.")
	default:
		x.wrong("It does not begin with eight hex digits. Envoy samples by these, so that it never traces this request on its own, whatever its rate is. It does if trace headers say sampled, or with use_request_id_for_trace_sampling set to false.")
	}
}

// envoyReads says what Envoy makes of a position, where that is not what the
// headers say.
func (x *explanation) envoyReads(h http.Header, p wire.Context) {
	switch p.Format {
	case wire.B3Multi:
		x.envoyReadsB3Multi(h, p)
	case wire.B3Single:
		x.envoyReadsB3(h, p)
	case wire.W3C:
		x.envoyReadsW3C(h, p)
	case wire.SkyWalking:
		if p.Err == nil && p.Decision == wire.Denied {
			x.item("Envoy", "makes a span all the same, in the caller's trace: it heeds no 0 in sw8")
		}
	case wire.GoogleCloud, wire.GRPCTraceBin, wire.Jaeger:
		x.item("Envoy", "does not read it, and passes it on as it came")
	}
}

func (x *explanation) envoyReadsB3Multi(h http.Header, p wire.Context) {
	ids := len(h.Values("b3")) > 0
	switch sampled := h.Values("x-b3-sampled"); {
	case ids:
		x.item("Envoy", "ignores x-b3-* where there is a b3")
		return
	case len(sampled) > 1:
		x.item("Envoy", "takes the first x-b3-sampled")
	case len(sampled) == 1 && sampled[0] != "1" && sampled[0] != "true" && (p.Decision.Sampled() || p.Err != nil):
		x.wrong(fmt.Sprintf("Envoy takes x-b3-sampled %q for not sampled: only 1 and true mean yes to it.", sampled[0]))
	}
	if flags := h.Get("x-b3-flags"); flags == "1" {
		text := "does not read x-b3-flags, which is for Zipkin's libraries, and passes it on"
		if h.Get("x-b3-sampled") != "1" {
			text += "; x-b3-sampled: 1 forces a trace through sidecars"
		}
		x.item("Envoy", text)
	}
	if p.Err == nil {
		return
	}
	trace, span := h.Get("x-b3-traceid"), h.Get("x-b3-spanid")
	switch {
	case (trace == "") != (span == "") && len(h.Values("x-b3-traceid")) != len(h.Values("x-b3-spanid")):
		x.item("Envoy", "starts a trace of its own: trace ID and span ID count together only")
	case upperCaseOnly(trace + span):
		x.item("Envoy", "reads upper case, and writes the IDs on in lower case")
	case strings.Trim(trace, "0") == "" && (len(trace) == 16 || len(trace) == 32) && len(span) == 16 && strings.Trim(span, "0123456789abcdef") == "":
		x.item("Envoy", "takes zeros for an ID like any: all requests with them share one trace")
	case isID(trace, 16, 32) && isID(span, 16) && isID(h.Get("x-b3-parentspanid"), 0, 16):
		// What is wrong is the decision alone.
	case trace != "" || span != "":
		x.item("Envoy", "makes no span at this hop if it cannot read the IDs, and passes all on as it came")
	}
}

func (x *explanation) envoyReadsB3(h http.Header, p wire.Context) {
	switch {
	case p.Err != nil && len(h.Values("b3")) == 1 && upperCaseOnly(h.Get("b3")):
		x.item("Envoy", "reads upper case, and writes the IDs on in lower case")
	case p.Err != nil:
		x.item("Envoy", "makes no span at this hop if it cannot read b3, or if it is empty, and passes all on as it came, x-b3-* included")
	case p.Decision == wire.Debug && x.envoy.renewsB3():
		x.item("Envoy", "obeys the d, and writes it on as 1")
	case p.Decision == wire.Debug:
		x.item("Envoy", "obeys the d, and leaves b3 as it came; what it writes is x-b3-sampled: 1")
	}
	if p.Err != nil {
		return
	}
	switch {
	case !x.envoy.renewsB3():
		x.item("renewed", "by no Envoy before 1.40: it writes x-b3-* beside it, and every sidecar after the first reads the old b3, so that the tree is flat. Let callers send x-b3-*")
	case slices.ContainsFunc(headerNames, func(name string) bool { return strings.HasPrefix(name, "x-b3-") && len(h.Values(name)) > 0 }):
		x.item("renewed", "by Envoy since 1.40, which then leaves x-b3-* as they came: a reader of those alone hangs its spans from the wrong parent")
	default:
		x.item("renewed", "by Envoy since 1.40, which writes no x-b3-* beside it")
	}
}

func (x *explanation) envoyReadsW3C(h http.Header, p wire.Context) {
	values := h.Values("traceparent")
	v := h.Get("traceparent")
	switch {
	case len(values) > 1:
		x.item("Envoy", "joins the first traceparent, and writes one")
	case p.Err == nil && len(v) > 55:
		x.item("Envoy", "makes no span at this hop, and passes it on as it came: it wants 55 characters, in later versions too")
	case p.Err == nil && p.Decision == wire.Denied:
		x.item("Envoy", "heeds the no, whatever its own decision is; only a sampler of the provider's, always_on, overrules it")
	case p.Err == nil && x.envoy.ownYes():
		reason := "a reason in x-request-id"
		if len(h.Values("x-request-id")) == 0 {
			reason += ", which is not there,"
		}
		x.item("Envoy", "heeds the yes only where it wants the trace itself, by "+reason+" or by its rate (with the OpenTelemetry tracer, since 1.39). So relay both headers")
	case p.Err == nil:
		x.item("Envoy", "heeds the yes, whatever its own decision is (with the OpenTelemetry tracer, up to 1.38)")
	case len(v) == 55 && (strings.HasPrefix(v, "ff-") || upperCaseOnly(v)):
		x.item("Envoy", "reads it all the same, and writes it on as version 00 in lower case")
	default:
		x.item("Envoy", "makes no span at this hop, and passes it on as it came; with USE_B3_WITH_W3C_PROPAGATION it starts a trace of its own")
	}
}

func upperCaseOnly(s string) bool {
	return s != strings.ToLower(s) && strings.Trim(strings.ToLower(s), "0123456789abcdef-") == ""
}

// decides says whether sidecars record the request, by its ID and what the
// first of the headers with a decision say.
func (x *explanation) decides(h http.Header, decided []wire.Context) {
	ids := h.Values("x-request-id")
	reason, ok := wire.TraceReason(strings.Join(ids, ","))
	said := make(map[bool]bool) // by whether it is of W3C
	var same []string
	for _, p := range decided {
		w3c := p.Format == wire.W3C
		if b3 := p.Format == wire.B3Multi || p.Format == wire.B3Single; !ok || !b3 && !w3c && p.Format != wire.Datadog || said[w3c] {
			continue
		}
		said[w3c] = true
		switch sampled := p.Decision.Sampled(); {
		case sampled == hasReason(reason):
			same = append(same, string(p.Format))
		case !sampled:
			x.agree(fmt.Sprintf("The request ID says that Envoy wanted to trace the request, and %s says %s: a service or client decided otherwise. Sidecars that read %[1]s follow it.", p.Format, p.Decision))
		case w3c && x.envoy.ownYes():
			x.agree("The request ID holds no reason to trace, and traceparent says sampled: since 1.39 that does not suffice for Envoy's OpenTelemetry tracer. Each sidecar decides by its own rate, and may cut the trace. x-client-trace-id forces one.")
		default:
			x.agree(fmt.Sprintf("The request ID holds no reason to trace, and %s says %s: a service or client decided that, or the sidecars write no reasons down. Sidecars that read %[1]s follow it.", p.Format, p.Decision))
		}
	}
	if len(same) > 0 {
		x.agree("The request ID and " + hop.And(same) + " agree on whether the request is traced.")
	}
}
