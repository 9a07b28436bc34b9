package wire

// Envoy writes its trace reason into request IDs that are as long as a UUID, at
// the place of the digit that says a UUID's version:
// https://github.com/envoyproxy/envoy/blob/9406c50ca38070736dcfb3a9a88dc9e0a30bf66b/source/extensions/request_id/uuid/config.cc
const (
	reasonAt = 14
	idLength = 36
)

// TraceReason returns the character of the request ID in which Envoy keeps why
// a request is traced. It reports false if the ID does not have the 36
// characters of a UUID: in any other, Envoy can neither read nor write one.
func TraceReason(requestID string) (reason byte, ok bool) {
	if len(requestID) != idLength {
		return 0, false
	}
	return requestID[reasonAt], true
}

// SameRequest reports whether two request IDs are of one request: the same, or
// such that a sidecar has changed no more than its trace reason.
func SameRequest(a, b string) bool {
	if a == b {
		return true
	}
	return len(a) == idLength && len(b) == idLength && a[:reasonAt] == b[:reasonAt] && a[reasonAt+1:] == b[reasonAt+1:]
}

// IsUUID reports whether the request ID is a UUID in hex digits, as Envoy makes
// them.
func IsUUID(requestID string) bool {
	if len(requestID) != idLength {
		return false
	}
	for i, c := range []byte(requestID) {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return false
		}
	}
	return true
}
