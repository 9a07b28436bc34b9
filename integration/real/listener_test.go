package real_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// listener is the upstream that tells the truth: it keeps the lines of each
// request as they come. It has nothing in common with what check listens with,
// net/http included.
type listener struct {
	net.Listener
	calls chan []string
}

func listen(t *testing.T, addr string) *listener {
	t.Helper()
	tcp, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	l := &listener{tcp, make(chan []string, 10)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			go l.answer(conn)
		}
	}()
	return l
}

func (l *listener) answer(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	lines, err := head(bufio.NewReader(conn))
	if err != nil {
		return // whoever looks whether the port is open sends nothing
	}
	l.calls <- lines
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
}

// take waits for n calls and returns their headers by path.
func (l *listener) take(t *testing.T, n int) map[string]headers {
	t.Helper()
	calls := map[string]headers{}
	for range n {
		select {
		case lines := <-l.calls:
			_, path, _ := strings.Cut(lines[0], " ")
			path, _, _ = strings.Cut(path, " ")
			calls[path] = parse(lines[1:])
		case <-time.After(patience):
			require.FailNow(t, "the service does not call")
		}
	}
	return calls
}

// head reads the lines up to the empty one.
func head(r *bufio.Reader) (lines []string, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return lines, nil
		}
		lines = append(lines, line)
	}
}

// get sends the header lines to the URL as they are, and returns the status
// line.
func get(t *testing.T, to string, lines []string) string {
	t.Helper()
	u, err := url.Parse(to)
	require.NoError(t, err)
	conn, err := net.DialTimeout("tcp", u.Host, patience)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n",
		u.RequestURI(), u.Host, strings.Join(append(lines, ""), "\r\n"))
	require.NoError(t, err)
	answer, err := head(bufio.NewReader(conn))
	require.NoError(t, err, to)
	return answer[0]
}
