package sleep_test

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tracebaton/tracebaton/examples/internal/sleep"
)

// FuzzHeaderFlag checks that a header is refused with the usage, or arrives as
// it was written.
func FuzzHeaderFlag(f *testing.F) {
	f.Add("end-user: jason")
	f.Fuzz(func(t *testing.T, flag string) {
		var wire bytes.Buffer
		base := base(func(r *http.Request) (*http.Response, error) {
			httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, r.Write(&wire)
		})
		r := runWith(t, sleep.Command{Base: base}, map[string]string{"OTEL_TRACES_EXPORTER": "none"}, "-H", flag, "http://httpbin/")
		if r.status == 2 {
			require.Contains(t, r.stderr, "Usage: sleep fetch")
			require.Empty(t, wire.Bytes())
			return
		}
		name, value, ok := strings.Cut(flag, ":")
		require.True(t, ok)
		name, value = http.CanonicalHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		require.Zero(t, r.status, r.stderr)
		arrived, err := http.ReadRequest(bufio.NewReader(&wire))
		require.NoError(t, err)
		if name != "Host" {
			require.Equal(t, value, strings.TrimSpace(arrived.Header.Get(name)), "%s", name)
			return
		}
		// Names in another alphabet go out as they are in DNS, and zones mean
		// nothing elsewhere.
		if !strings.Contains(arrived.Host, "xn--") && !strings.Contains(value, "%") {
			require.Equal(t, value, arrived.Host)
		}
	})
}
