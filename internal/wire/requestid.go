package wire

// reasonAt is where Envoy writes its trace reason into a UUID: the digit that
// says the version, which is 4 for those that Envoy makes.
const reasonAt = 14

// TraceReason returns the character of the request ID in which Envoy keeps why
// a request is traced. It reports false if the ID is not a UUID, in which
// Envoy can neither read nor write one.
func TraceReason(requestID string) (reason byte, ok bool) {
	if len(requestID) != 36 {
		return 0, false
	}
	for i := range len(requestID) {
		switch c := requestID[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return 0, false
			}
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
		default:
			return 0, false
		}
	}
	return requestID[reasonAt], true
}

// SameRequest reports whether two request IDs are of one request: the same, or
// UUIDs in which a sidecar has changed no more than its trace reason.
func SameRequest(a, b string) bool {
	if a == b {
		return true
	}
	_, okA := TraceReason(a)
	_, okB := TraceReason(b)
	return okA && okB && a[:reasonAt] == b[:reasonAt] && a[reasonAt+1:] == b[reasonAt+1:]
}
