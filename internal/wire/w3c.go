package wire

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// The limits of Trace Context Level 2, https://www.w3.org/TR/trace-context-2/.
const (
	maxStateMembers = 32
	maxStateKey     = 256
	maxStateValue   = 256
)

func readW3C(h http.Header) Context {
	c := only("traceparent", readTraceparent)(h)
	c.State, c.StateErr = Tracestate(h.Values("tracestate"))
	return c
}

// readTraceparent reads {version}-{trace}-{span}-{flags}, which a version above
// 00 may continue after another dash.
func readTraceparent(v string) Context {
	c := Context{Format: W3C}
	const length = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-00")
	fields := strings.SplitN(v, "-", 5)
	version := fields[0]
	switch {
	case len(fields) < 4:
		c.Err = fmt.Errorf("traceparent %q is not 00-{trace}-{span}-{flags}", v)
		return c
	case len(version) != 2 || !isHex(version):
		c.Err = fmt.Errorf("traceparent's version %q is not two hex digits in lower case", version)
		return c
	case version == "ff":
		c.Err = errors.New("traceparent's version ff is forbidden")
		return c
	case version == "00" && len(fields) > 4:
		c.Err = fmt.Errorf("traceparent %q goes on after its flags; in version 00 it has %d characters", v, length)
		return c
	}
	c.Trace, c.Span = fields[1], fields[2]
	if len(fields[3]) != 2 || !isHex(fields[3]) {
		c.Err = fmt.Errorf("traceparent's flags %q are not two hex digits in lower case", fields[3])
		return c
	}
	// Readers ignore the flags that they do not know.
	flags, _ := strconv.ParseUint(fields[3], 16, 8)
	c.Decision, c.Random = decided(flags&1 != 0), flags&2 != 0
	c.Err = checkIDs("traceparent's trace ID", c.Trace, []int{32}, "traceparent's span ID", c.Span)
	return c
}

// Tracestate reads the lines of tracestate, which are one list, by the grammar
// of Trace Context Level 2. It returns the members in their order, and what is
// wrong with those that it leaves out, or with their number. A key that is
// there twice is no error here: see [Repeated].
func Tracestate(lines []string) (state []Member, err error) {
	var errs []error
	for text := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		// Empty members are allowed: https://www.w3.org/TR/trace-context-2/#list.
		if text = strings.Trim(text, " \t"); text == "" {
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("tracestate's member %q has no =", text))
		case !stateKey(key):
			errs = append(errs, fmt.Errorf("tracestate's key %q is not made of a to z, 0 to 9, _ - * / @, with a letter or a digit in front", key))
		case len(key) > maxStateKey:
			errs = append(errs, fmt.Errorf("tracestate's key %.20q… has %d characters; at most %d are allowed", key, len(key), maxStateKey))
		case value == "":
			errs = append(errs, fmt.Errorf("tracestate's member %q has no value", key))
		case len(value) > maxStateValue:
			errs = append(errs, fmt.Errorf("tracestate's value of %q has %d characters; at most %d are allowed", key, len(value), maxStateValue))
		case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' || c == '=' }):
			errs = append(errs, fmt.Errorf("tracestate's value of %q is not made of printable ASCII without , and =", key))
		default:
			state = append(state, Member{Header: "tracestate", Key: key, Value: value})
		}
	}
	if n := len(state); n > maxStateMembers {
		errs = append(errs, fmt.Errorf("tracestate has %d members; at most %d are allowed", n, maxStateMembers))
	}
	return state, errors.Join(errs...)
}

func stateKey(key string) bool {
	for i, c := range []byte(key) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && strings.IndexByte("_-*/@", c) >= 0:
		default:
			return false
		}
	}
	return key != ""
}

// Repeated returns the keys that the state has more than once, each once. In
// tracestate one entry a key is allowed, because it stands for the last
// position in its tracer's trace.
func Repeated(state []Member) (keys []string) {
	seen := make(map[string]int)
	for _, m := range state {
		id := m.Header + " " + m.Key
		if seen[id]++; seen[id] == 2 {
			keys = append(keys, m.Key)
		}
	}
	return keys
}

// Baggage reads the lines of baggage, which are one set, by the grammar of
// https://www.w3.org/TR/baggage/, with the values percent-decoded. It returns
// the members sorted by key, and what is wrong with those that it leaves out.
func Baggage(lines []string) (members []Member, err error) {
	var errs []error
	for text := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		if text = strings.Trim(text, " \t"); text == "" {
			continue
		}
		pair, properties, _ := strings.Cut(text, ";")
		key, value, ok := strings.Cut(pair, "=")
		key, value = strings.Trim(key, " \t"), strings.Trim(value, " \t")
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("baggage's member %q has no =", text))
		case !token(key):
			errs = append(errs, fmt.Errorf("baggage's key %q is not made of letters, digits and !#$%%&'*+-.^_`|~", key))
		case strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }):
			errs = append(errs, fmt.Errorf("baggage's value of %q has characters that must be percent-encoded", key))
		default:
			members = append(members, Member{Header: "baggage", Key: key, Value: percentDecoded(value), Properties: blankless(properties)})
		}
	}
	return sorted(members), errors.Join(errs...)
}

// token reports whether s is what HTTP calls one, as the names of headers are.
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
	})
}

// percentDecoded decodes what is percent-encoded in s. What is badly encoded
// stays as it is, and what is no UTF-8 becomes U+FFFD.
func percentDecoded(s string) string {
	decoded, err := url.PathUnescape(s)
	if err != nil {
		return s
	}
	return strings.ToValidUTF8(decoded, "\ufffd")
}

// blankless takes the blanks around ; and = out of the properties.
func blankless(properties string) string {
	parts := strings.Split(properties, ";")
	for i, p := range parts {
		key, value, ok := strings.Cut(p, "=")
		if parts[i] = strings.Trim(key, " \t"); ok {
			parts[i] += "=" + strings.Trim(value, " \t")
		}
	}
	return strings.Join(parts, ";")
}
