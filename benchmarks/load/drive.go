package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// target is a flaskapp in front of an httpbin.
type target struct {
	url    string
	echoes bool // whether the answer must have the request ID in it
}

// through is a target that answers with the headers that arrive at httpbin.
func through(flaskapp, httpbin *service) target {
	return target{flaskapp.url + "/fetch_with_trace?url=" + httpbin.url + "/headers", true}
}

// driver makes calls as fast as they are answered, or at a rate.
type driver struct {
	client  *http.Client
	workers int
}

func newDriver(workers int) *driver {
	return &driver{workers: workers, client: &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: workers},
	}}
}

// times are how long calls took, sorted.
type times []time.Duration

func (t times) percentile(p int) time.Duration { return t[(len(t)-1)*p/100] }

// drive makes calls for as long as ctx is not done, each when pace says so,
// which is never closed; nil is as soon as the one before is answered. It
// fails when a call does, or when it did not arrive as it should.
func (d *driver) drive(ctx context.Context, to target, pace <-chan time.Time) (times, error) {
	var mu sync.Mutex
	var all times
	var errs []error
	var workers sync.WaitGroup
	for range d.workers {
		workers.Go(func() {
			var mine times
			var err error
			for err == nil && next(ctx, pace) {
				start := time.Now()
				// A call that was begun is finished.
				err = d.call(context.WithoutCancel(ctx), to)
				mine = append(mine, time.Since(start))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	workers.Wait()
	slices.Sort(all)
	if len(all) == 0 && len(errs) == 0 {
		errs = append(errs, errors.New("no call was made"))
	}
	return all, errors.Join(errs...)
}

func next(ctx context.Context, pace <-chan time.Time) bool {
	if pace == nil {
		return ctx.Err() == nil
	}
	select {
	case <-pace:
		return true
	case <-ctx.Done():
		return false
	}
}

// errLost is the error of a call whose request ID did not arrive upstream.
var errLost = errors.New("the request ID did not arrive upstream")

func (d *driver) call(ctx context.Context, to target) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, to.url, nil)
	if err != nil {
		return err
	}
	id := rand.Text()
	for name, value := range map[string]string{
		"X-Request-Id":      id,
		"X-B3-Traceid":      "463ac35c9f6413ad48485a3953bb6124",
		"X-B3-Spanid":       "a2fb4a1d1a96d312",
		"X-B3-Parentspanid": "0020000000000001",
		"X-B3-Sampled":      "1",
		"X-Ot-Span-Context": "463ac35c9f6413ad;a2fb4a1d1a96d312;0020000000000001;cs",
	} {
		r.Header[name] = []string{value}
	}
	res, err := d.client.Do(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("answered with %s: %s", res.Status, body)
	case to.echoes && !strings.Contains(string(body), id):
		return errLost
	}
	return nil
}
