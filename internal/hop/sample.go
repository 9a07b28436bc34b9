package hop

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/tracebaton/tracebaton/internal/wire"
	"github.com/tracebaton/tracebaton/propagation"
)

// Family is a family of package propagation and the name by which people ask
// for it.
type Family struct {
	Name   string
	Family propagation.Family
}

// Known are the families of package propagation.
var Known = []Family{
	{"request-id", propagation.RequestID},
	{"b3", propagation.B3},
	{"w3c", propagation.W3C},
	{"ot", propagation.OTSpanContext},
	{"baggage", propagation.Baggage},
	{"datadog", propagation.Datadog},
	{"skywalking", propagation.SkyWalking},
	{"google-cloud", propagation.GoogleCloud},
	{"grpc-trace-bin", propagation.GRPCTraceBin},
	{"xray", propagation.XRay},
	{"jaeger", propagation.Jaeger},
}

// Names returns the headers of the families, in lower case.
func Names(f propagation.Families) []string {
	return f.Names()
}

// knownNames are the headers of all known families.
var knownNames = func() (names []string) {
	for _, f := range Known {
		names = append(names, Names(propagation.Of(f.Family))...)
	}
	return names
}()

// AllNames returns the headers of the families, and then all known ones.
func AllNames(f propagation.Families) []string {
	names := Names(f)
	for _, name := range knownNames {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Trace is a position in a trace, from which a request's headers are made. No
// two requests have any ID in common.
type Trace struct {
	ID, Span, Parent string // hex; an empty Parent is none
	RequestID        string
	Decision         wire.Decision
}

// NewTrace returns a sampled position in a new trace. Random must not fail, as
// crypto/rand's does not.
func NewTrace(random io.Reader) Trace {
	var b [48]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		panic(err)
	}
	// IDs that a tracer might take for 63-bit or all-zero ones are not what is
	// to be found out.
	b[0], b[8], b[16], b[24] = b[0]|0x10, b[8]|0x10, b[16]|0x10, b[24]|0x10
	id := hex.EncodeToString(b[:])
	r := id[64:]
	return Trace{
		ID: id[:32], Span: id[32:48], Parent: id[48:64],
		// 9, at index 14, is what a sidecar writes into those that it samples.
		RequestID: r[:8] + "-" + r[8:12] + "-9" + r[13:16] + "-a" + r[17:20] + "-" + r[20:32],
		Decision:  wire.Accepted,
	}
}

// Short returns t with a trace ID of 64 bits.
func (t Trace) Short() Trace {
	t.ID = t.ID[16:]
	return t
}

// Decided returns t with another decision.
func (t Trace) Decided(d wire.Decision) Trace {
	t.Decision = d
	return t
}

// Header returns the named headers for t. Names that are of no known family
// have a value of t's own.
func (t Trace) Header(names ...string) http.Header {
	h := make(http.Header)
	for _, name := range names {
		if v := t.value(name); v != "" {
			h.Set(name, v)
		}
	}
	return h
}

func (t Trace) value(name string) string {
	sampled := t.Decision >= wire.Accepted
	flag := map[bool]string{false: "0", true: "1"}[sampled]
	switch name {
	case "x-request-id":
		return t.RequestID
	case "x-b3-traceid":
		return t.ID
	case "x-b3-spanid":
		return t.Span
	case "x-b3-parentspanid":
		return t.Parent
	case "x-b3-sampled":
		if t.Decision == wire.Accepted || t.Decision == wire.Denied {
			return flag
		}
		return "" // debug implies it
	case "x-b3-flags":
		if t.Decision == wire.Debug {
			return "1"
		}
		return ""
	case "b3":
		v := t.ID + "-" + t.Span
		if t.Decision != wire.Deferred {
			v += "-" + map[wire.Decision]string{wire.Denied: "0", wire.Accepted: "1", wire.Debug: "d"}[t.Decision]
			if t.Parent != "" {
				v += "-" + t.Parent
			}
		}
		return v
	case "traceparent":
		return "00-" + wire.Pad(t.ID) + "-" + t.Span + "-0" + flag
	case "tracestate":
		// In both cases, so that changing it shows.
		return "tracebaton=Span" + strings.ToUpper(t.Span)
	case "x-ot-span-context":
		return t.base64(t.ID + t.Span)
	case "baggage":
		return "userId=Amelie" + t.Span + ",serverNode=DF%2028"
	case "x-datadog-trace-id":
		return decimal(wire.Pad(t.ID)[16:])
	case "x-datadog-parent-id":
		return decimal(t.Span)
	case "x-datadog-sampling-priority":
		return flag
	case "x-datadog-origin":
		return "synthetics"
	case "x-datadog-tags":
		return "_dd.p.dm=-4,_dd.p.tid=" + wire.Pad(t.ID)[:16]
	case "sw8":
		return strings.Join([]string{flag, t.base64(t.ID), t.base64(t.Span), "3",
			t.base64("51"), t.base64("5"), t.base64("6"), t.base64("7")}, "-")
	case "sw8-correlation":
		return t.base64("user") + ":" + t.base64(t.Span)
	case "sw8-x":
		return "0-" + t.Span
	case "x-cloud-trace-context":
		return wire.Pad(t.ID) + "/" + decimal(t.Span) + ";o=" + flag
	case "grpc-trace-bin":
		return t.base64("\x00\x00" + unhex(wire.Pad(t.ID)) + "\x01" + unhex(t.Span) + "\x02" + unhex("0"+flag))
	case "x-amzn-trace-id":
		id := wire.Pad(t.ID)
		return "Root=1-" + id[:8] + "-" + id[8:] + ";Parent=" + t.Span + ";Sampled=" + flag
	case "uber-trace-id":
		return t.ID + ":" + t.Span + ":" + t.Parent + ":" + flag
	default:
		return fmt.Sprintf("A Value, of %s; its own (%s)", name, t.Span)
	}
}

func (t Trace) base64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func decimal(id string) string {
	n, _ := strconv.ParseUint(id, 16, 64) // an ID of ours
	return strconv.FormatUint(n, 10)
}

func unhex(id string) string {
	b, _ := hex.DecodeString(id) // an ID of ours
	return string(b)
}

// In reports whether v, the value of any header, has an ID of t in it.
func (t Trace) In(v string) bool {
	for _, name := range knownNames {
		if len(t.value(name)) >= 16 && v == t.value(name) {
			return true
		}
	}
	return slices.ContainsFunc([]string{t.ID, t.Span, t.Parent, strings.ToUpper(t.Span)}, func(id string) bool {
		return id != "" && strings.Contains(v, id)
	})
}
