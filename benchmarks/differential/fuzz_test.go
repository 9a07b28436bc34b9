package differential_test

import "testing"

// FuzzAgainstPeers has the peers read what comes, of which the header that
// repeated says is there twice.
func FuzzAgainstPeers(f *testing.F) {
	f.Add(traceID+"-"+spanID+"-1-"+parent, "", "", "", "", "", byte(0), "")
	f.Fuzz(func(t *testing.T, single, trace, span, parent, sampled, flags string, repeated byte, again string) {
		h := header(single, trace, span, parent, sampled, flags)
		if i := int(repeated); i > 0 && i <= len(multi) && h.Get(multi[i-1]) != "" {
			h.Add(multi[i-1], again)
		} else if i > len(multi) && single != "" {
			h.Add("b3", again)
		}
		if carried(h) {
			compare(t, h)
		}
	})
}
