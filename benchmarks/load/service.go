package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// lab is a folder with the services as they are measured.
type lab struct {
	dir  string
	root string // of the repository
	runs []*service
}

func newLab() (*lab, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("find the repository: %w", err)
	}
	root := filepath.Dir(filepath.Dir(string(out)))
	if _, err := os.Stat(filepath.Join(root, "examples", "flaskapp")); err != nil {
		return nil, fmt.Errorf("find the services, run this in the benchmarks' folder: %w", err)
	}
	dir, err := os.MkdirTemp("", "load")
	return &lab{dir: dir, root: root}, err
}

// close ends all services and removes what was built.
func (l *lab) close() {
	for _, s := range l.runs {
		s.stop()
	}
	_ = os.RemoveAll(l.dir)
}

// What takes the place of the repository's files in a program.
var (
	probe        = map[string]string{"examples/internal/serve/probe_linux.go": "serve/probe_linux.go"}
	noIDsInLog   = map[string]string{"examples/internal/telemetry/log.go": "telemetry/log.go"}
	noMiddleware = map[string]string{
		"middleware/relay.go":     "middleware/relay.go",
		"middleware/transport.go": "middleware/transport.go",
		"middleware/edge.go":      "", // not there
	}
)

// build builds the example into the program of that name, with these files in
// place of the repository's.
func (l *lab) build(ctx context.Context, example, program string, files ...map[string]string) error {
	replace := make(map[string]string)
	for _, some := range files {
		for theirs, ours := range some {
			if ours != "" {
				ours = filepath.Join(l.root, "benchmarks", "load", "overlay", ours)
			}
			replace[filepath.Join(l.root, theirs)] = ours
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	file := filepath.Join(l.dir, program+".json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", file, "-o", filepath.Join(l.dir, program), "./"+example) // #nosec G204 -- ours
	cmd.Dir = filepath.Join(l.root, "examples")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", program, err, out)
	}
	return nil
}

// service is a program that runs.
type service struct {
	cmd    *exec.Cmd
	url    string
	client *http.Client // of the probe
	ended  chan struct{}
}

// start starts the program; it serves if it is given no arguments.
func (l *lab) start(ctx context.Context, program string, args ...string) (*service, error) {
	socket := filepath.Join(l.dir, fmt.Sprintf("%d.sock", len(l.runs)))
	s := &service{ended: make(chan struct{}), client: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}}
	serves := len(args) == 0
	if serves {
		args = []string{"-addr", "127.0.0.1:0"}
	}
	s.cmd = exec.CommandContext(ctx, filepath.Join(l.dir, program), args...) // #nosec G204 -- just built
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.Env = []string{"OTEL_TRACES_EXPORTER=none", "FETCH_ALLOW=127.0.0.0/8", "PROBE=" + socket}
	log, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	l.runs = append(l.runs, s)
	lines := bufio.NewReader(log)
	if serves {
		err = s.listening(lines)
	}
	go func() {
		_, _ = io.Copy(io.Discard, lines)
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	return s, err
}

// listening reads from the log where the service listens.
func (s *service) listening(log *bufio.Reader) error {
	for {
		line, err := log.ReadBytes('\n')
		if err != nil {
			return errors.New("a service ended at once: " + string(line))
		}
		var entry struct{ Msg, Addr string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "listening" {
			s.url = "http://" + entry.Addr
			return nil
		}
	}
}

// stop ends the service and waits until it has.
func (s *service) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // fails where it has ended
	<-s.ended
}

// state is how a service is.
type state struct {
	Goroutines int64 // those of the probe included
	Heap       int64 // bytes
	CPU        int64 // nanoseconds, since it was started
	Resident   int64 // bytes
}

// look asks the service how it is; with clean, after it has collected its
// garbage.
func (s *service) look(clean bool) (state, error) {
	url := "http://probe/"
	if clean {
		url += "?gc"
	}
	res, err := s.client.Get(url)
	if err != nil {
		return state{}, err
	}
	defer func() { _ = res.Body.Close() }()
	var now state
	if err := json.NewDecoder(res.Body).Decode(&now); err != nil {
		return state{}, fmt.Errorf("read what the probe says: %w", err)
	}
	return now, nil
}
