package otelprop

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	otel "go.opentelemetry.io/otel/propagation"

	"github.com/tracebaton/tracebaton/propagation"
)

// canonicals are the keys in a [http.Header] of the names that package
// propagation knows: to make one takes an allocation.
var canonicals = func() map[string]string {
	names := make(map[string]string)
	for _, lower := range propagation.Of(propagation.RequestID, propagation.B3, propagation.W3C, propagation.OTSpanContext, propagation.Baggage, propagation.Datadog,
		propagation.SkyWalking, propagation.GoogleCloud, propagation.GRPCTraceBin, propagation.XRay, propagation.Jaeger).Names() {
		names[lower] = textproto.CanonicalMIMEHeaderKey(lower)
	}
	return names
}()

func canonical(lower string) string {
	if name, ok := canonicals[lower]; ok {
		return name
	}
	return textproto.CanonicalMIMEHeaderKey(lower)
}

// values returns the values of carrier's header with the lower-case name.
func values(carrier otel.TextMapCarrier, name string) []string {
	switch c := carrier.(type) {
	case otel.HeaderCarrier:
		return c[canonical(name)]
	case otel.ValuesGetter:
		return c.Values(name)
	}
	if v := carrier.Get(name); v != "" {
		return []string{v}
	}
	return nil
}

// update makes carrier have what header has of the names, where it had had.
func update(carrier otel.TextMapCarrier, names []string, had, header http.Header) {
	for _, name := range names {
		was, is := had[canonical(name)], header[canonical(name)]
		switch {
		case slices.Equal(was, is):
		case len(is) > 0:
			carrier.Set(name, join(name, is))
		default:
			remove(carrier, name)
		}
	}
}

// join makes one value of a header's: of a list, all; else the first.
func join(name string, values []string) string {
	if name == "tracestate" || name == "baggage" {
		return strings.Join(values, ",")
	}
	return values[0]
}

// removes reports whether a header can be taken out of carrier. Most carriers
// can only be set.
func removes(carrier otel.TextMapCarrier) bool {
	_, ok := carrier.(otel.MapCarrier)
	return ok
}

// remove takes the header out of carrier or, where the carrier cannot do that,
// sets it to a value that no reader takes for anything.
func remove(carrier otel.TextMapCarrier, name string) {
	if removes(carrier) {
		delete(carrier.(otel.MapCarrier), name)
		return
	}
	switch name {
	case "x-b3-flags":
		carrier.Set(name, "0")
	case "x-b3-sampled": // debug, written as a flag, is a yes; Envoy takes an empty value for a no
		carrier.Set(name, "1")
	default: // a parent or a tracestate
		carrier.Set(name, "")
	}
}
