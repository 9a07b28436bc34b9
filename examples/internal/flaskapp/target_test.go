package flaskapp_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tracebaton/tracebaton/examples/internal/flaskapp"
)

func TestURLToFetchIsRead(t *testing.T) {
	tests := []struct {
		name  string
		query string
		want  string
	}{
		{"as it is", "url=http://httpbin:8000/ip", "http://httpbin:8000/ip"},
		{"https", "url=https://httpbin/", "https://httpbin/"},
		{"a scheme in capitals", "url=HTTP://httpbin/", "http://httpbin/"},
		{"after another parameter", "a=1&url=http://httpbin/", "http://httpbin/"},
		{"not in a parameter that ends like it", "curl=http://a/&url=http://b/", "http://b/"},
		{"the first of two", "url=http://a/%3F&url=http://b/", "http://a/%3F&url=http://b/"},
		{"nested", "url=http://flaskapp/fetch_with_trace?url=http://httpbin:8000/ip", "http://flaskapp/fetch_with_trace?url=http://httpbin:8000/ip"},
		{"its own parameters are part of it", "url=http://httpbin/get?a=1&b=2", "http://httpbin/get?a=1&b=2"},
		{"nested with parameters", "url=http://f/fetch?url=http://h/get?a=1&b=2", "http://f/fetch?url=http://h/get?a=1&b=2"},
		{"escapes of its own stay", "url=http://httpbin/get?a=%26%20%25", "http://httpbin/get?a=%26%20%25"},
		{"a plus stays", "url=http://httpbin/get?a=1+2", "http://httpbin/get?a=1+2"},
		{"escaped", "url=http%3A%2F%2Fhttpbin%3A8000%2Fget%3Fa%3D1%26b%3D2", "http://httpbin:8000/get?a=1&b=2"},
		{"escaped ends at the next parameter", "url=http%3A%2F%2Fhttpbin%2F&b=2", "http://httpbin/"},
		{"escaped is unescaped once", "url=http%3A%2F%2Fhttpbin%2Fget%3Fa%3D%2526", "http://httpbin/get?a=%26"},
		{"half escaped is escaped", "url=http:%2F%2Fhttpbin%2F&b=2", "http://httpbin/"},
		{"nested and escaped at each step", "url=http%3A%2F%2Ff%2Ffetch%3Furl%3Dhttp%253A%252F%252Fh%252Fget%253Fa%253D1%2526b%253D2", "http://f/fetch?url=http%3A%2F%2Fh%2Fget%3Fa%3D1%26b%3D2"},
		{"an IPv6 address", "url=http://[fd00::1]:8080/", "http://[fd00::1]:8080/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := flaskapp.ParseTarget(tt.query)
			require.NoError(t, err)
			assert.Equal(t, tt.want, u.String())
		})
	}
}

func TestWhatIsNoURLToFetchIsRefusedWithTheReason(t *testing.T) {
	tests := []struct {
		name  string
		query string
		why   string
	}{
		{"no query", "", "?url="},
		{"no url", "a=1", "?url="},
		{"empty", "url=", "?url="},
		{"empty before another parameter", "url=&b=2", "?url="},
		{"a file", "url=file:///etc/passwd", "neither http nor https"},
		{"a file in disguise", "url=file%3A%2F%2F%2Fetc%2Fpasswd", "neither http nor https"},
		{"gopher", "url=gopher://httpbin:70/", "neither http nor https"},
		{"no scheme", "url=httpbin/ip", "neither http nor https"},
		{"no scheme but slashes", "url=//httpbin/ip", "neither http nor https"},
		{"a host and port alone", "url=httpbin:8000", "neither http nor https"},
		{"no host", "url=http:///ip", "names no host"},
		{"no host but a port", "url=http://:80/", "names no host"},
		{"nothing but a scheme", "url=http:ip", "names no host"},
		{"a port that does not exist", "url=http://httpbin:65536/", "port 65536"},
		{"port 0", "url=http://httpbin:0/", "port 0"},
		{"a port that is a name", "url=http://httpbin:http/", "invalid port"},
		{"an address with a zone", "url=http://[fe80::1%25eth0]/", "network zone"},
		{"a bad escape", "url=http%3A%2F%2Fhttpbin%2F%zz", "invalid URL escape"},
		{"a bad host", "url=http://a b/", "invalid character"},
		{"a new line", "url=http%3A%2F%2Fhttpbin%2F%0d%0aHost:%20evil", "invalid control character"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := flaskapp.ParseTarget(tt.query)
			require.ErrorContains(t, err, tt.why)
		})
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{
		"url=http://flaskapp/fetch?url=http://httpbin:8000/get?a=1&b=2", "url=http%3A%2F%2Fhttpbin%2F&b=2",
		"a=1&url=HTTPS://[::1%25eth0]:1/", "url=HTTP://[::%25\xec]", "url=//", "url=%", "&&url=http://a@b:1/?#",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		u, err := flaskapp.ParseTarget(query)
		if err != nil {
			return
		}
		require.Contains(t, []string{"http", "https"}, u.Scheme)
		require.NotEmpty(t, u.Hostname())
		again, err := url.Parse(u.String())
		require.NoError(t, err, "what is fetched can be sent")
		require.Equal(t, u.Hostname(), again.Hostname(), "what was checked is what is fetched")
		if _, as, ok := strings.Cut(query, "url="+u.Scheme+"://"); ok && !strings.Contains(query, "%") && !strings.Contains(as, "#") {
			require.True(t, strings.HasSuffix(query, u.RawQuery), "parameters of an unescaped URL stay as they are")
		}
	})
}
