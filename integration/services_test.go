package integration_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/process"
)

const bin = "bin"

// patience is how long a test waits for what must come. Only one that fails
// waits for all of it, so it is enough for a machine with much else to do.
const patience = 5 * time.Minute

var build = sync.OnceValue(func() error {
	return process.Build(filepath.Join("..", "examples"), bin, "./flaskapp", "./httpbin", "./sleep")
})

// services are flaskapp and httpbin, each a process of its own.
type services struct {
	flaskapp, httpbin       *process.Process
	flaskappURL, httpbinURL string
	env                     []string
}

// start starts the services with env.
func start(t testing.TB, env ...string) *services {
	t.Helper()
	require.NoError(t, build())
	env = append([]string{
		"FETCH_ALLOW=127.0.0.0/8",
		"OTEL_BSP_SCHEDULE_DELAY=100", // ms: spans are sent soon, and no test waits long
	}, env...)
	s := &services{env: env}
	s.httpbin, s.httpbinURL = listen(t, "httpbin", env)
	s.flaskapp, s.flaskappURL = listen(t, "flaskapp", env)
	return s
}

func listen(t testing.TB, name string, env []string) (p *process.Process, url string) {
	t.Helper()
	p = process.Start(t, env, filepath.Join(bin, name), "-addr", "127.0.0.1:0")
	return p, "http://" + p.Addr(t)
}

// through is the URL at which the route of flaskapp fetches the path from
// httpbin.
func (s *services) through(route, path string) string {
	return s.flaskappURL + route + "?url=" + s.httpbinURL + path
}

// sleep runs sleep fetch to its end. Every call must have been answered.
func (s *services) sleep(t testing.TB, args ...string) {
	t.Helper()
	require.NoError(t, s.sleeping(t, s.env, args...).Wait(t), "sleep fetch")
}

// sleeping runs sleep fetch with an environment of its own.
func (s *services) sleeping(t testing.TB, env []string, args ...string) *process.Process {
	t.Helper()
	return process.Start(t, env, filepath.Join(bin, "sleep"), append([]string{"fetch"}, args...)...)
}

// stop asks the services to end and waits until they have, all their spans
// sent.
func (s *services) stop(t testing.TB) {
	t.Helper()
	s.flaskapp.Stop(t)
	s.httpbin.Stop(t)
}
