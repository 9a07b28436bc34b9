package propagation

import (
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// specified are the flags that version 00 of traceparent defines.
const specified = trace.FlagsSampled | trace.FlagsRandom

// parseTraceparent reads traceparent as OpenTelemetry's own propagator does, a
// version above 00 by its first four fields. It reports false for an invalid
// one, and for all-zero IDs.
func parseTraceparent(v string) (cfg trace.SpanContextConfig, ok bool) {
	var version, flags [1]byte
	if !field(version[:], &v) || version[0] == 0xff ||
		!field(cfg.TraceID[:], &v) || !field(cfg.SpanID[:], &v) || !field(flags[:], &v) {
		return trace.SpanContextConfig{}, false
	}
	if version[0] == 0 && (v != "" || trace.TraceFlags(flags[0])&^specified != 0) {
		return trace.SpanContextConfig{}, false
	}
	if !cfg.TraceID.IsValid() || !cfg.SpanID.IsValid() {
		return trace.SpanContextConfig{}, false
	}
	cfg.TraceFlags = trace.TraceFlags(flags[0]) & specified
	return cfg, true
}

// field decodes the hex digits up to the next dash, and moves v behind it.
func field(dst []byte, v *string) bool {
	digits, rest, _ := strings.Cut(*v, "-")
	*v = rest
	return unhex(dst, digits)
}
