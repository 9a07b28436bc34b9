package differential_test

import (
	"net/http"
	"regexp"
	"strings"
)

// peer is another parser and how it differs from this library's.
type peer struct {
	name    string
	parse   func(http.Header) meaning
	classes []class // in the order in which they come to bear
}

// class is a way in which a peer disagrees.
type class struct {
	name string // as in docs/conformance.md
	// reads changes h into what the peer takes it for: headers that mean the
	// same to this library. It does nothing to headers of another class.
	reads func(h http.Header)
}

var peers = []peer{
	{"contrib/propagators/b3", asContrib, []class{
		{"a header that is repeated", firstValue},
		{"another separator", separators(true)},
		{"a parent that is malformed", badParent(regexp.MustCompile(`^[0-9a-f]{16}$`))},
		{"a parent of zeros", zeroParent},
		{"a decision alone in b3, beside x-b3-*", ignoreSingleDecision},
		{"a decision alone", ignoreDecision},
	}},
	{"zipkin-go", asZipkin, []class{
		{"a header that is repeated", firstValue},
		{"a trace ID of 128 bits in b3 and no whole span ID", panics},
		{"another separator", separators(false)},
		{"upper case", lowerCase},
		{"an ID of another length", otherLengths},
		{"a parent that is malformed", badParent(regexp.MustCompile(`^(0*[0-9a-fA-F]{1,16})$`))},
		{"a parent alone", loneParent},
		{"an ID of zeros", zeroID},
	}},
}

// panicked is a header that stands for a panic of the parser.
const panicked = "Panicked"

var multi = []string{"X-B3-Traceid", "X-B3-Spanid", "X-B3-Parentspanid", "X-B3-Sampled", "X-B3-Flags"}

var hexadecimal = regexp.MustCompile(`^[0-9a-fA-F]+$`)

func set(h http.Header, name, value string) {
	if value == "" {
		delete(h, name)
	} else {
		h[name] = []string{value}
	}
}

func dropMulti(h http.Header) {
	for _, name := range multi {
		delete(h, name)
	}
}

func firstValue(h http.Header) {
	for name, values := range h {
		if len(values) > 1 {
			set(h, name, values[0])
		}
	}
}

// panics: zipkin-go reads the span ID without looking whether it is there.
func panics(h http.Header) {
	if v := h.Get("b3"); 33 <= len(v) && len(v) < 49 && hexadecimal.MatchString(v[:32]) {
		h[panicked] = []string{"1"}
	}
}

// separators: both read the fields at their places, and zipkin-go does not
// look at the one behind a trace ID of 128 bits either.
func separators(behindTrace bool) func(http.Header) {
	return func(h http.Header) {
		b := []byte(h.Get("b3"))
		if len(b) < 33 {
			return
		}
		trace := 32
		if b[16] == '-' {
			trace = 16
		} else if behindTrace && b[32] != '-' {
			return
		}
		switch len(b) - trace {
		case 17 + 16 + 2 + 1:
			b[trace+19] = '-'
			fallthrough
		case 17 + 2:
			b[trace+17] = '-'
			fallthrough
		case 17:
			b[trace] = '-'
			set(h, "B3", string(b))
		}
	}
}

func lowerCase(h http.Header) {
	fields := strings.Split(h.Get("b3"), "-")
	for i, v := range fields {
		if i != 2 && len(v) > 1 && hexadecimal.MatchString(v) {
			fields[i] = strings.ToLower(v)
		}
	}
	set(h, "B3", strings.Join(fields, "-"))
	for _, name := range multi[:2] {
		if v := h.Get(name); hexadecimal.MatchString(v) {
			set(h, name, strings.ToLower(v))
		}
	}
}

func otherLengths(h http.Header) {
	for name, lengths := range map[string][]int{multi[0]: {16, 32}, multi[1]: {16}} {
		v := h.Get(name)
		if !hexadecimal.MatchString(v) {
			continue
		}
		digits := strings.TrimLeft(v, "0")
		for _, n := range lengths {
			if len(v) == n || len(digits) <= n {
				if len(v) != n {
					set(h, name, strings.Repeat("0", n-len(digits))+digits)
				}
				break
			}
		}
	}
}

// badParent drops all headers of a format in which the parent is not as the
// peer wants it.
func badParent(good *regexp.Regexp) func(http.Header) {
	return func(h http.Header) {
		f := strings.Split(h.Get("b3"), "-")
		if len(f) == 4 && f[3] != "" && (len(f[3]) != 16 || !good.MatchString(f[3])) {
			delete(h, "B3")
		}
		if v := h.Get(multi[2]); v != "" && !good.MatchString(v) {
			dropMulti(h)
		}
	}
}

var zeros = regexp.MustCompile(`^0+$`)

// zeroParent: an all-zero ID is malformed for contrib.
func zeroParent(h http.Header) {
	if f := strings.Split(h.Get("b3"), "-"); len(f) == 4 && zeros.MatchString(f[3]) {
		delete(h, "B3")
	}
	if zeros.MatchString(h.Get(multi[2])) {
		dropMulti(h)
	}
}

func loneParent(h http.Header) {
	if h.Get(multi[0]) == "" && h.Get(multi[1]) == "" && h.Get(multi[2]) != "" {
		dropMulti(h)
	}
}

// zeroID: zipkin-go keeps the decision beside it, and one in b3 hides x-b3-*.
func zeroID(h http.Header) {
	whole := regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?$`)
	if f := whole.FindStringSubmatch(h.Get("b3")); f != nil && (zeros.MatchString(f[1]) || zeros.MatchString(f[2])) {
		set(h, "B3", f[3])
		dropMulti(h)
	}
	trace, span := h.Get(multi[0]), h.Get(multi[1])
	if (len(trace) == 16 || len(trace) == 32) && len(span) == 16 && hexadecimal.MatchString(trace+span) && (zeros.MatchString(trace) || zeros.MatchString(span)) {
		delete(h, multi[0])
		delete(h, multi[1])
	}
}

// ignoreSingleDecision: contrib goes on to x-b3-*, and keeps that b3 said d.
func ignoreSingleDecision(h http.Header) {
	v := h.Get("b3")
	if v != "0" && v != "1" && v != "d" || h.Get(multi[0]) == "" {
		return
	}
	delete(h, "B3")
	if v == "d" {
		set(h, multi[4], "1")
	}
}

func ignoreDecision(h http.Header) {
	if v := h.Get("b3"); v == "0" || v == "1" || v == "d" {
		delete(h, "B3")
	}
	if h.Get(multi[0]) == "" && h.Get(multi[1]) == "" {
		dropMulti(h)
	}
}
