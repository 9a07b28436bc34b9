package hop_test

import (
	"context"
	"encoding/binary"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// The floor is the least that can be done for the six headers of the
// walkthrough and no others, written out by hand: the same checks as package
// middleware makes, and none of its choices.

const floorFamilyBytes = 8 << 10

// floorNode is a context with the six values in it.
type floorNode struct {
	context.Context
	requestID, traceID, spanID, parentID, sampled, ot string
}

type floorKey struct{}

func (n *floorNode) Value(key any) any {
	if _, ok := key.(floorKey); ok {
		return n
	}
	return n.Context.Value(key)
}

func floorServer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		requestID := floorValue(h["X-Request-Id"])
		traceID := floorValue(h["X-B3-Traceid"])
		spanID := floorValue(h["X-B3-Spanid"])
		parentID := floorValue(h["X-B3-Parentspanid"])
		sampled := floorValue(h["X-B3-Sampled"])
		ot := floorValue(h["X-Ot-Span-Context"])
		if len(requestID) > floorFamilyBytes || !floorSendable(requestID) {
			requestID = ""
		}
		if len(traceID)+len(spanID)+len(parentID)+len(sampled) > floorFamilyBytes ||
			!floorSendable(traceID) || !floorSendable(spanID) || !floorSendable(parentID) || !floorSendable(sampled) {
			traceID, spanID, parentID, sampled = "", "", "", ""
		}
		if len(ot) > floorFamilyBytes || !floorSendable(ot) {
			ot = ""
		}
		if requestID == "" && traceID == "" && spanID == "" && parentID == "" && sampled == "" && ot == "" {
			next.ServeHTTP(w, r)
			return
		}
		in := r.WithContext(&floorNode{r.Context(), requestID, traceID, spanID, parentID, sampled, ot})
		defer func() {
			r.Pattern = in.Pattern
			r.MultipartForm = in.MultipartForm
		}()
		next.ServeHTTP(w, in)
	})
}

// floorValue returns the value of a header that has one. What more there may
// be is beyond the floor.
func floorValue(values []string) string {
	if len(values) != 1 || floorBlank(values[0]) {
		return ""
	}
	return values[0]
}

func floorBlank(v string) bool {
	return v == "" || (v[0] == ' ' || v[0] == '\t') && strings.Trim(v, " \t") == ""
}

func floorSendable(v string) bool {
	if n := len(v); n >= 8 {
		found := floorSuspects(v[n-8:])
		for i := 0; i < n-8; i += 8 {
			found |= floorSuspects(v[i:])
		}
		if found == 0 {
			return true
		}
	}
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func floorSuspects(v string) uint64 {
	const each = 0x0101010101010101
	w := binary.LittleEndian.Uint64([]byte(v[:8]))
	return ((w - each*' ') | (w + each)) &^ w & (each << 7)
}

func floorClient(base http.RoundTripper) http.RoundTripper {
	return roundTripFunc(func(r *http.Request) (*http.Response, error) {
		n, _ := r.Context().Value(floorKey{}).(*floorNode)
		if n == nil {
			return base.RoundTrip(r)
		}
		requestID, b3, ot, tight := true, true, true, r.Header != nil
		for name, v := range r.Header {
			tight = tight && len(v) == cap(v)
			switch len(name) {
			case len("X-Request-Id"):
				if strings.EqualFold(name, "X-Request-Id") || strings.EqualFold(name, "X-B3-Traceid") {
					requestID = requestID && !strings.EqualFold(name, "X-Request-Id")
					b3 = b3 && !strings.EqualFold(name, "X-B3-Traceid")
				} else if strings.EqualFold(name, "X-B3-Sampled") {
					b3 = false
				}
			case len("X-B3-Spanid"):
				b3 = b3 && !strings.EqualFold(name, "X-B3-Spanid")
			case len("X-B3-Flags"):
				b3 = b3 && !strings.EqualFold(name, "X-B3-Flags")
			case len("B3"):
				b3 = b3 && !strings.EqualFold(name, "B3")
			case len("X-B3-Parentspanid"):
				b3 = b3 && !strings.EqualFold(name, "X-B3-Parentspanid")
				ot = ot && !strings.EqualFold(name, "X-Ot-Span-Context")
			}
		}
		if !requestID && !b3 && !ot {
			return base.RoundTrip(r)
		}
		out := new(struct {
			http.Request
			values [6]string
		})
		out.Request = *r
		var header http.Header
		if tight {
			header = maps.Clone(r.Header)
		} else {
			header = make(http.Header, len(r.Header)+6)
			for name, v := range r.Header {
				header[name] = slices.Clip(v)
			}
		}
		if requestID && n.requestID != "" {
			out.values[0] = n.requestID
			header["X-Request-Id"] = out.values[0:1:1]
		}
		if b3 {
			if n.traceID != "" {
				out.values[1] = n.traceID
				header["X-B3-Traceid"] = out.values[1:2:2]
			}
			if n.spanID != "" {
				out.values[2] = n.spanID
				header["X-B3-Spanid"] = out.values[2:3:3]
			}
			if n.parentID != "" {
				out.values[3] = n.parentID
				header["X-B3-Parentspanid"] = out.values[3:4:4]
			}
			if n.sampled != "" {
				out.values[4] = n.sampled
				header["X-B3-Sampled"] = out.values[4:5:5]
			}
		}
		if ot && n.ot != "" {
			out.values[5] = n.ot
			header["X-Ot-Span-Context"] = out.values[5:6:6]
		}
		out.Header = header
		return base.RoundTrip(&out.Request)
	})
}
