//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

const (
	idle     = 4 * time.Hour
	creation = 30 * time.Second
)

// serveKubelet answers what the API server asks a kubelet: for kubectl logs,
// exec and port-forward. To ask takes a certificate of the cluster's.
func (w *worker) serveKubelet() error {
	ca, err := os.ReadFile(w.ca.file("ca.crt"))
	if err != nil {
		return err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", w.logs)
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", w.exec)
	mux.HandleFunc("/portForward/{namespace}/{pod}", w.portForward)
	mux.HandleFunc("/portForward/{namespace}/{pod}/{uid}", w.portForward)
	mux.HandleFunc("/exec/{namespace}/{pod}/{uid}/{container}", w.exec)
	l, err := net.Listen("tcp", kubeletAt)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: creation,
		TLSConfig:         &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS13},
		// Streams are on connections that are taken over, which HTTP/2 has not.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	go func() { log.Fatal(server.ServeTLS(l, w.ca.file("kubelet.crt"), w.ca.file("kubelet.key"))) }()
	return nil
}

// find returns the container that a request is for, or answers that there is
// none.
func (w *worker) find(rw http.ResponseWriter, r *http.Request) (*container, bool) {
	p, ok := w.findPod(rw, r)
	if !ok {
		return nil, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.containers[r.PathValue("container")]
	if c == nil {
		http.Error(rw, "the container has not started", http.StatusNotFound)
	}
	return c, c != nil
}

func (w *worker) findPod(rw http.ResponseWriter, r *http.Request) (*pod, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pods[r.PathValue("namespace")+"/"+r.PathValue("pod")]
	if p == nil {
		http.Error(rw, "the pod is not here", http.StatusNotFound)
	}
	return p, p != nil
}

// logs answers with a container's log, the last tailLines of it, and with
// follow what is written from then on.
func (w *worker) logs(rw http.ResponseWriter, r *http.Request) {
	c, ok := w.find(rw, r)
	if !ok {
		return
	}
	f, err := os.Open(c.logFile()) // #nosec G703 -- of a container that is known
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = f.Close() }()
	if tail, err := strconv.Atoi(r.FormValue("tailLines")); err == nil {
		text, err := io.ReadAll(f)
		if err == nil {
			_, err = f.Seek(int64(len(text)-len(last(text, tail))), io.SeekStart)
		}
		if err != nil {
			http.Error(rw, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	for {
		if _, err := io.Copy(rw, f); err != nil || r.FormValue("follow") != "true" || !c.run.Load().running() {
			return
		}
		rw.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(tick):
		}
	}
}

// last are the last n lines of the text.
func last(text []byte, n int) []byte {
	lines := slices.Collect(bytes.Lines(text))
	return bytes.Join(lines[max(0, len(lines)-n):], nil)
}

// exec runs a command as the container would: as its user, in its environment.
func (w *worker) exec(rw http.ResponseWriter, r *http.Request) {
	c, ok := w.find(rw, r)
	if !ok {
		return
	}
	opts, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(rw, r, c, c.pod.Name, string(c.pod.UID), c.Name, r.Form["command"], opts, idle, creation, remotecommand.SupportedStreamingProtocols)
}

// ExecInContainer runs a command of [worker.exec].
func (c *container) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader, out, errOut io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	if len(command) == 0 {
		return errors.New("no command was given")
	}
	// setpriv looks for it on the PATH of the container, where the image's
	// program comes before one of this machine's that has its name.
	argv := c.command(command[0], command[1:]...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) // #nosec G204 -- the user's own
	cmd.Env, cmd.Dir = c.environ(), c.root
	cmd.Stdout, cmd.Stderr = out, errOut
	if in != nil {
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		go func() { // nobody waits for it: the command may end before its input does
			_, _ = io.Copy(stdin, in)
			_ = stdin.Close()
		}()
	}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

func (w *worker) portForward(rw http.ResponseWriter, r *http.Request) {
	p, ok := w.findPod(rw, r)
	if !ok {
		return
	}
	opts, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(rw, r, p, p.Name, string(p.UID), opts, idle, creation, portforward.SupportedProtocols)
}

// PortForward joins the stream with the port on the pod's loopback.
func (p *pod) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	conn, err := p.netns.dial(port)
	if err != nil {
		return fmt.Errorf("port %d of pod %s: %w", port, p.Name, err)
	}
	defer func() { _ = conn.Close() }()
	go func() {
		_, _ = io.Copy(conn, stream)         // the answer tells what comes of it
		_ = conn.(*net.TCPConn).CloseWrite() // it may still be under way
	}()
	_, err = io.Copy(stream, conn)
	_ = stream.Close()
	return err
}
