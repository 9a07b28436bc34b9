package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSceneEndsWhereItFails(t *testing.T) {
	var stderr bytes.Buffer
	s := &scene{ctx: t.Context(), stderr: &stderr}
	var ended []string
	s.play(func() {
		s.Cleanup(func() { ended = append(ended, "first") })
		s.Cleanup(func() { ended = append(ended, "second") })
		require.Equal(s, "one trace", "two traces", "the trace breaks")
		t.Error("it goes on")
	})
	s.end()
	assert.True(t, s.Failed())
	assert.Contains(t, stderr.String(), "the trace breaks")
	assert.Equal(t, []string{"second", "first"}, ended)
}

func TestSceneThatLacksSomethingFailsAndSaysWhat(t *testing.T) {
	var stderr bytes.Buffer
	s := &scene{ctx: t.Context(), stderr: &stderr}
	s.play(func() {
		s.Skip("there is no Envoy: make envoy")
		t.Error("it goes on")
	})
	assert.True(t, s.Failed())
	assert.Equal(t, "meshdemo: there is no Envoy: make envoy\n", stderr.String())
}

func TestInterruptedSceneEndsWithoutComplaint(t *testing.T) {
	var stderr bytes.Buffer
	ctx, interrupt := context.WithCancel(t.Context())
	s := &scene{ctx: ctx, stderr: &stderr}
	left := make(chan struct{})
	s.play(func() {
		defer close(left)
		interrupt()
		require.Fail(s, "the programs are gone")
	})
	<-left
	assert.Empty(t, stderr.String())
}
