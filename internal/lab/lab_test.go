package lab_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/internal/lab"
)

func answers(t *testing.T, args ...string) lab.Answers {
	t.Helper()
	var a lab.Answers
	for _, arg := range args {
		require.NoError(t, a.Add(arg))
	}
	return a
}

func TestACallIsAnsweredWithWhatItAccepts(t *testing.T) {
	for accept, want := range map[string][2]string{
		"":                                  {"application/json", "{}\n"},
		"*/*":                               {"application/json", "{}\n"},
		"application/json, text/plain, */*": {"application/json", "{}\n"},
		"text/plain;q=0.5":                  {"text/plain; charset=utf-8", "{}\n"},
		"text/html,application/xhtml+xml":   {"text/html; charset=utf-8", "<!DOCTYPE html><title>tracebaton</title>\n"},
		"application/xml":                   {"application/xml", "<tracebaton/>\n"},
		"application/problem+json":          {"application/json", "{}\n"},
		"text/event-stream":                 {"text/event-stream", "data: {}\n\n"},
		"image/png":                         {"application/json", "{}\n"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		lab.Answers(nil).ServeHTTP(w, r)
		assert.Equal(t, want, [2]string{w.Header().Get("Content-Type"), w.Body.String()}, accept)
	}
}

func TestAPatternHasAnAnswerOfItsOwn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "answer.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"from":"file"}`), 0o600))
	a := answers(t, `{"for":"all"}`, `/details/*={"id":0}`, "/file=@"+file, "/empty=")
	require.NoError(t, a.AddStatus("/details/*=201"))
	require.NoError(t, a.AddHeader("/file=Content-Type: text/plain"))
	require.NoError(t, a.AddHeader("X-All: yes"))
	tests := map[string]struct {
		body, contentType, all string
		status                 int
	}{
		"/":                {`{"for":"all"}`, "application/json", "yes", 200},
		"/details/0":       {`{"id":0}`, "application/json", "", 201},
		"/details/0/pages": {`{"id":0}`, "application/json", "", 201},
		"/file":            {`{"from":"file"}`, "text/plain", "", 200},
		"/empty":           {"", "application/json", "", 200},
	}
	for path, want := range tests {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		assert.Equal(t, want.body, w.Body.String(), path)
		assert.Equal(t, want.status, w.Code, path)
		assert.Equal(t, want.contentType, w.Header().Get("Content-Type"), path)
		assert.Equal(t, want.all, w.Header().Get("X-All"), path)
	}
}

func TestAnAnswerThatIsNoneIsRefused(t *testing.T) {
	var a lab.Answers
	assert.ErrorContains(t, a.Add("@/no/such/file"), "cannot read the answer")
	assert.ErrorContains(t, a.Add("/details"), "is not of the form /path=ANSWER")
	assert.ErrorContains(t, a.Add("/[=x"), "is not a pattern")
	assert.ErrorContains(t, a.AddStatus("fine"), `"fine" is not a status`)
	assert.ErrorContains(t, a.AddHeader("fine"), "is not of the form 'name: value'")
}

// client speaks HTTP/2 in cleartext from the first byte on, as gRPC's do.
func client() *http.Client {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: &protocols}, Timeout: 5 * time.Second}
}

func TestACallOfGRPCIsAnsweredInItsOwnWay(t *testing.T) {
	a := answers(t, `{"for":"all"}`, "/shop.Currency/*=\x0a\x03EUR")
	s, err := lab.Serve(lab.Config{}, a)
	require.NoError(t, err)
	defer s.Close()
	c := client()
	defer c.CloseIdleConnections()
	for path, want := range map[string][2]string{
		"/shop.Cart/Get":      {"12", ""},
		"/shop.Currency/List": {"0", "\x00\x00\x00\x00\x05\x0a\x03EUR"},
	} {
		r, err := http.NewRequest(http.MethodPost, s.URL+path, bytes.NewReader([]byte{0, 0, 0, 0, 0}))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/grpc")
		r.Header.Set("Te", "trailers")
		res, err := c.Do(r)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		_ = res.Body.Close()
		assert.Equal(t, 2, res.ProtoMajor)
		assert.Equal(t, "application/grpc", res.Header.Get("Content-Type"))
		assert.Equal(t, want, [2]string{res.Trailer.Get("Grpc-Status"), string(body)}, path)
	}
}

func TestAServerSpeaksHTTP1AndHTTP2OnOnePort(t *testing.T) {
	var protocols []string
	s, err := lab.Serve(lab.Config{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		protocols = append(protocols, r.Method+" "+r.Proto)
	}))
	require.NoError(t, err)
	defer s.Close()
	two := client()
	defer two.CloseIdleConnections()
	for _, c := range []*http.Client{http.DefaultClient, two} {
		res, err := c.Get(s.URL)
		require.NoError(t, err)
		_ = res.Body.Close()
	}
	assert.Equal(t, []string{"GET HTTP/1.1", "GET HTTP/2.0"}, protocols)
}

func TestTheCertificateIsGoodForThoseWhoTrustIt(t *testing.T) {
	s, err := lab.Serve(lab.Config{TLS: true, Hosts: []string{"upstream.example", "192.0.2.1"}}, lab.Answers(nil))
	require.NoError(t, err)
	defer s.Close()
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(s.CA))
	for _, name := range []string{"127.0.0.1", "localhost", "upstream.example", "192.0.2.1"} {
		conn, err := tls.Dial("tcp", s.Addr, &tls.Config{RootCAs: pool, ServerName: name})
		if assert.NoError(t, err, name) {
			_ = conn.Close()
		}
	}
	_, err = tls.Dial("tcp", s.Addr, &tls.Config{RootCAs: pool, ServerName: "other.example"})
	assert.Error(t, err)
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer c.CloseIdleConnections()
	res, err := c.Get(s.URL)
	require.NoError(t, err)
	_ = res.Body.Close()
}

func TestAHandlerThatNeverReturnsDoesNotKeepAServer(t *testing.T) {
	entered := make(chan struct{})
	s, err := lab.Serve(lab.Config{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		select {}
	}))
	require.NoError(t, err)
	failed := make(chan error, 1)
	go func() {
		res, err := http.Get(s.URL)
		if err == nil {
			_ = res.Body.Close()
		}
		failed <- err
	}()
	<-entered
	s.Close()
	assert.Error(t, <-failed)
	_, err = net.DialTimeout("tcp", s.Addr, time.Second)
	assert.Error(t, err)
}

func TestAPlaceThatCannotBeListenedAtIsNamed(t *testing.T) {
	_, err := lab.Serve(lab.Config{Addr: "256.0.0.1:1"}, nil)
	assert.ErrorContains(t, err, "cannot listen")
}

// What can be said of an answer is refused with a reason, or answers every call.
func FuzzAnswers(f *testing.F) {
	f.Add(`{"a":1}`, "/details/*=201", "/details/*=X-A: b", "/details/0", "text/html;q=0.1, */*")
	f.Add("/a[b]=c", "600", "a b: c", "/a[", "application/grpc")
	f.Fuzz(func(t *testing.T, body, status, header, path, accept string) {
		if strings.Contains(body, "@") {
			return // it would name a file
		}
		var a lab.Answers
		for _, err := range []error{a.Add(body), a.AddStatus(status), a.AddHeader(header)} {
			if err != nil && err.Error() == "" {
				t.Error("no reason is given")
			}
		}
		for _, proto := range []int{1, 2} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.URL.Path, r.ProtoMajor = path, proto
			r.Header.Set("Accept", accept)
			r.Header.Set("Content-Type", accept)
			w := httptest.NewRecorder()
			a.ServeHTTP(w, r)
			if w.Code < 100 || w.Code > 599 {
				t.Errorf("the status is %d", w.Code)
			}
		}
	})
}
