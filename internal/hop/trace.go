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
)

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

// Decided returns t with another decision, and a request ID that says the same
// to Envoy.
func (t Trace) Decided(d wire.Decision) Trace {
	t.Decision = d
	if d == wire.Denied {
		t.RequestID = t.RequestID[:14] + "4" + t.RequestID[15:]
	}
	return t
}

// Low returns t with a trace ID of which both halves are near zero, and High
// one of which both are near their greatest value. Samplers that decide by a
// ratio compare one of the halves, or 56 or 63 bits of it, with a bound.
func (t Trace) Low() Trace {
	t.ID = "00000000" + t.ID[8:16] + "00000000" + t.ID[24:]
	return t
}

// High returns the counterpart of Low.
func (t Trace) High() Trace {
	t.ID = "ffffffff" + t.ID[8:16] + "ffffffff" + t.ID[24:]
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
	sampled := t.Decision.Sampled()
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
		// In both cases, so that changing it shows, and two members, so that
		// their order does.
		return "tracebaton=Span" + strings.ToUpper(t.Span) + ",rojo=" + t.Span
	case "x-ot-span-context":
		return t.base64(t.ID + t.Span)
	case "baggage":
		return "userId=Amelie" + t.Span + ",serverNode=DF%2028,isProduction=false"
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
		// Without padding, as gRPC sends it: a hop over gRPC loses what padding
		// there is, and nothing with it.
		return base64.RawStdEncoding.EncodeToString([]byte("\x00\x00" + unhex(wire.Pad(t.ID)) + "\x01" + unhex(t.Span) + "\x02" + unhex("0"+flag)))
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
	for _, name := range Headers(Known) {
		if len(t.value(name)) >= 16 && v == t.value(name) {
			return true
		}
	}
	return slices.ContainsFunc([]string{t.ID, t.Span, t.Parent, strings.ToUpper(t.Span)}, func(id string) bool {
		return id != "" && strings.Contains(v, id)
	})
}

// Places reports whether the header names a trace or a span, and does not only
// say something beside that.
func Places(header string) bool {
	switch header {
	case "x-b3-traceid", "x-b3-spanid", "b3", "traceparent", "x-datadog-trace-id", "x-datadog-parent-id", "sw8":
		return true
	}
	return false
}
