package otelprop

import (
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// known are the flags that are read and written: the others are reserved, to
// be ignored and sent as zero (W3C Trace Context Level 2, section 3.2.2.5).
const known = trace.FlagsSampled | trace.FlagsRandom

// parseTraceparent reads traceparent; a version above 00 by its first four
// fields (W3C Trace Context Level 2, section 3.2.4). The position is not valid
// if it cannot.
func parseTraceparent(v string) (p position) {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(v) < length || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return position{}
	}
	var version, flags [1]byte
	if !unhex(version[:], v[:2]) || !unhex(flags[:], v[53:length]) || version[0] == 0xff ||
		len(v) > length && (version[0] == 0 || v[length] != '-') ||
		!p.setIDs(v[3:35], v[36:52], "") {
		return position{}
	}
	p.flags = trace.TraceFlags(flags[0]) & known
	return p
}

// validTracestate reports whether v is a list of tracestate members (W3C Trace
// Context Level 2, section 3.3.1.3), at most 32 of them. OpenTelemetry's parser
// knows the keys of Level 1 only, and refuses one that comes twice.
func validTracestate(v string) bool {
	n := 0
	for member := range strings.SplitSeq(v, ",") {
		if member = strings.Trim(member, " \t"); member == "" {
			continue
		}
		key, value, ok := strings.Cut(member, "=")
		if n++; n > 32 || !ok || !validKey(key) || !validValue(value) {
			return false
		}
	}
	return true
}

func validKey(key string) bool {
	if key == "" || len(key) > 256 {
		return false
	}
	for i := range len(key) {
		c := key[i]
		if 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || i > 0 && strings.IndexByte("_-*/@", c) >= 0 {
			continue
		}
		return false
	}
	return true
}

func validValue(value string) bool {
	if value == "" || len(value) > 256 {
		return false
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == ',' || c == '=' {
			return false
		}
	}
	return true
}
