package hop

import "slices"

// Family is a family of headers that travel together, as a reader knows it.
type Family struct {
	Name    string   // that people ask for it by, such as request-id
	Title   string   // what a sentence calls it, such as x-request-id
	Headers []string // in lower case
}

// Known are the families that can be asked for by name. That of any other
// header is a family of one.
var Known = []Family{
	{"request-id", "x-request-id", []string{"x-request-id"}},
	{"b3", "B3", []string{"x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "b3"}},
	{"w3c", "W3C", []string{"traceparent", "tracestate"}},
	{"ot", "x-ot-span-context", []string{"x-ot-span-context"}},
	{"baggage", "baggage", []string{"baggage"}},
	{"datadog", "Datadog", []string{"x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority", "x-datadog-origin", "x-datadog-tags"}},
	{"skywalking", "SkyWalking", []string{"sw8", "sw8-correlation", "sw8-x"}},
	{"google-cloud", "x-cloud-trace-context", []string{"x-cloud-trace-context"}},
	{"grpc-trace-bin", "grpc-trace-bin", []string{"grpc-trace-bin"}},
	{"xray", "X-Ray", []string{"x-amzn-trace-id"}},
	{"jaeger", "Jaeger", []string{"uber-trace-id"}},
}

// Named returns the known family of the name. It reports false if there is
// none.
func Named(name string) (Family, bool) {
	i := slices.IndexFunc(Known, func(f Family) bool { return f.Name == name })
	if i < 0 {
		return Family{}, false
	}
	return Known[i], true
}

// FamilyOf returns the family that the header, in lower case, belongs to.
func FamilyOf(header string) Family {
	for _, f := range Known {
		if slices.Contains(f.Headers, header) {
			return f
		}
	}
	return Family{header, header, []string{header}}
}

// Families returns the families that the headers, in lower case, belong to, in
// the order of the headers and with no other headers than these.
func Families(headers ...string) []Family {
	var families []Family
	for _, h := range headers {
		of := FamilyOf(h)
		i := slices.IndexFunc(families, func(f Family) bool { return f.Name == of.Name })
		if i < 0 {
			of.Headers, i = nil, len(families)
			families = append(families, of)
		}
		if !slices.Contains(families[i].Headers, h) {
			families[i].Headers = append(families[i].Headers, h)
		}
	}
	return families
}

// Headers returns the headers of the families.
func Headers(families []Family) (headers []string) {
	for _, f := range families {
		headers = append(headers, f.Headers...)
	}
	return headers
}

// allHeaders returns the headers of the families, and then those of all other
// known ones.
func allHeaders(families []Family) []string {
	headers := Headers(families)
	for _, name := range Headers(Known) {
		if !slices.Contains(headers, name) {
			headers = append(headers, name)
		}
	}
	return headers
}
