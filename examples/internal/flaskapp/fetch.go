package flaskapp

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/tracebaton/tracebaton/examples/internal/egress"
)

// Limits bounds a fetch. Zero fields have the defaults.
type Limits struct {
	Bytes     int64         // of the answer's body; 10 MiB
	Time      time.Duration // for all of it, redirects and body included; 30 s
	Redirects int           // followed; 10, and none if negative
}

// headroom is how much of an answer is read before it is passed on. A failure
// within it can still be told with a status; one after it only by cutting the
// answer off.
const headroom = 64 << 10

// statusClientGone is what the log has of a request whose caller went away.
// Nobody else sees it.
const statusClientGone = 499

type fetcher struct {
	client *http.Client
	limits Limits
	log    *slog.Logger
}

func newFetcher(cfg Config, log *slog.Logger) *fetcher {
	f := &fetcher{
		limits: Limits{
			Bytes:     cmp.Or(cfg.Limits.Bytes, 10<<20),
			Time:      cmp.Or(cfg.Limits.Time, 30*time.Second),
			Redirects: cmp.Or(cfg.Limits.Redirects, 10),
		},
		log: log,
	}
	dialer := cfg.Dialer
	if dialer == nil {
		dialer = &egress.Dialer{}
	}
	f.client = &http.Client{
		Transport: cfg.Tracing.Transport(dialer.Transport()),
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > max(f.limits.Redirects, 0) {
				return fmt.Errorf("more than %d redirects (FETCH_MAX_REDIRECTS)", max(f.limits.Redirects, 0))
			}
			return checkURL(r.URL)
		},
	}
	return f
}

// serve answers r with first, and then with what the URL in its query answers
// when it is fetched with ctx.
func (f *fetcher) serve(ctx context.Context, w http.ResponseWriter, r *http.Request, first []byte) {
	target, err := parseTarget(r.URL.RawQuery)
	if err != nil {
		text(w, http.StatusBadRequest, err.Error())
		return
	}
	ctx, cancel := context.WithTimeout(ctx, f.limits.Time)
	defer cancel()
	res, body, err := f.fetch(ctx, target, first != nil)
	if err != nil {
		status := statusOf(r, err)
		f.log.WarnContext(r.Context(), "fetch failed", "status", status, "host", target.Host, "error", reason(err)+timeUp(ctx, err))
		text(w, status, err.Error()+timeUp(ctx, err))
		return
	}
	defer func() { _ = res.Body.Close() }()

	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case first != nil:
		// Two documents in one, which is neither's type.
		h.Set("Content-Type", "text/plain; charset=utf-8")
	default:
		h["Content-Type"] = res.Header["Content-Type"] // nil keeps net/http from guessing one
		for _, name := range []string{"Content-Encoding", "Content-Length"} {
			if v := res.Header.Get(name); v != "" {
				h.Set(name, v)
			}
		}
	}
	status := res.StatusCode
	if first != nil && (status == http.StatusNoContent || status == http.StatusNotModified) {
		status = http.StatusOK // those cannot have a body, and this has one
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	_, err = w.Write(first)
	if err == nil {
		_, err = io.Copy(w, body)
	}
	if err != nil {
		// The status is out. What is left to tell the caller that the answer
		// is not whole is not to end it.
		f.log.WarnContext(r.Context(), "fetch cut off", "host", target.Host, "error", reason(err)+timeUp(ctx, err))
		panic(http.ErrAbortHandler)
	}
}

// fetch calls target, and returns its answer once so much of it is there that
// the rest is likely to come. The caller closes the answer's body, and reads
// it from the returned reader, which fails above the limit: decoded if plain,
// and else as it came.
func (f *fetcher) fetch(ctx context.Context, target *url.URL, plain bool) (*http.Response, io.Reader, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil) //nolint:gosec // the dialer judges where to
	if err != nil {
		return nil, nil, err
	}
	res, err := f.client.Do(req) //nolint:gosec // as above
	if err != nil {
		return nil, nil, err
	}
	body, err := f.open(res, plain)
	if err != nil {
		_ = res.Body.Close()
		return nil, nil, &url.Error{Op: "Get", URL: target.Redacted(), Err: err}
	}
	return res, body, nil
}

// open returns the answer's body with the limit, once its head is there.
func (f *fetcher) open(res *http.Response, plain bool) (io.Reader, error) {
	if err := f.acceptable(res); err != nil {
		return nil, err
	}
	body := f.capped(res.Body)
	if plain {
		decoded, err := decode(strings.Join(res.Header["Content-Encoding"], ", "), body)
		if err != nil {
			return nil, err
		}
		body = f.capped(decoded) // a few bytes may stand for gigabytes
	}
	buffered := bufio.NewReaderSize(body, headroom)
	if _, err := buffered.Peek(headroom); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return buffered, nil
}

func (f *fetcher) capped(r io.Reader) io.Reader {
	return &capped{r, f.limits.Bytes, f.tooLarge()}
}

// acceptable returns an error if the answer cannot be passed on.
func (f *fetcher) acceptable(res *http.Response) error {
	if res.StatusCode < 200 || res.StatusCode > 599 {
		return fmt.Errorf("answered with status %d, which HTTP does not have", res.StatusCode)
	}
	if res.ContentLength > f.limits.Bytes {
		return f.tooLarge()
	}
	return nil
}

func (f *fetcher) tooLarge() error {
	return fmt.Errorf("answer is larger than %d bytes (FETCH_MAX_BYTES)", f.limits.Bytes)
}

// statusOf returns the status to answer r with when its fetch failed.
func statusOf(r *http.Request, err error) int {
	var refused *egress.Refused
	var timeout net.Error
	switch {
	case errors.As(err, &refused):
		return http.StatusForbidden
	case r.Context().Err() != nil:
		return statusClientGone
	case errors.As(err, &timeout) && timeout.Timeout():
		return http.StatusGatewayTimeout
	default:
		return http.StatusBadGateway
	}
}

// reason returns what went wrong, for the log, without the URL: its path and
// its query come from the caller's query, which the log leaves out.
func reason(err error) string {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	const location = "failed to parse Location header"
	if strings.HasPrefix(err.Error(), location) { // and the header follows
		return location
	}
	return err.Error()
}

// timeUp returns the setting that err is for, if the time for all of a fetch
// was up: a connection has one of its own.
func timeUp(ctx context.Context, err error) string {
	if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		return " (FETCH_TIMEOUT)"
	}
	return ""
}

// checkURL returns why u cannot be fetched, which is nil if it can.
func checkURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("its scheme is neither http nor https")
	}
	if u.Hostname() == "" {
		return errors.New("it names no host")
	}
	if strings.Contains(u.Hostname(), "%") {
		return errors.New("a network zone means nothing here")
	}
	if isNumber(u.Hostname()) {
		return errors.New("a host that is a number may be any address: write it as 10.1.2.3")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("port %s does not exist", port)
		}
	}
	return nil
}

// isNumber reports whether the host is a number and no address.
func isNumber(host string) bool {
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		host = ascii // as net/http dials it
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	return egress.IsNumber(host)
}
