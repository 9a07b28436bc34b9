package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/tracebaton/tracebaton/integration/process"
)

// scene is what the programs of the tests run in here, in place of a test.
type scene struct {
	ctx    context.Context // done when it is interrupted
	stderr io.Writer

	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

var _ process.T = (*scene)(nil)

// play runs f, which ends where it fails, and returns then, or when all was
// interrupted.
func (s *scene) play(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-s.ctx.Done():
	}
}

// end stops all that was started.
func (s *scene) end() {
	s.mu.Lock()
	cleanups := s.cleanups
	s.cleanups = nil
	s.mu.Unlock()
	for i := range cleanups {
		cleanups[len(cleanups)-1-i]()
	}
}

func (s *scene) Helper() {}

// Logf tells of failures, which all are once it was interrupted.
func (s *scene) Logf(format string, args ...any) {
	if s.ctx.Err() == nil {
		_, _ = fmt.Fprintf(s.stderr, format+"\n", args...)
	}
}

func (s *scene) Errorf(format string, args ...any) {
	s.mu.Lock()
	s.failed = true
	s.mu.Unlock()
	s.Logf("meshdemo: "+format, args...)
}

func (s *scene) FailNow() {
	s.mu.Lock()
	s.failed = true
	s.mu.Unlock()
	runtime.Goexit()
}

func (s *scene) Failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Skip fails: who wants to see it wants to know what it lacks.
func (s *scene) Skip(args ...any) {
	s.Logf("meshdemo: %s", fmt.Sprint(args...))
	s.FailNow()
}

func (s *scene) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleanups = append(s.cleanups, f)
}
