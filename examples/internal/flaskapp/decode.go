package flaskapp

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
)

// decode returns the body as it is without its content coding.
func decode(coding string, body io.Reader) (io.Reader, error) {
	coding = strings.ToLower(strings.TrimSpace(coding))
	if coding == "" || coding == "identity" {
		return body, nil
	}
	packed := bufio.NewReader(body)
	head, err := packed.Peek(2)
	if len(head) == 0 && errors.Is(err, io.EOF) {
		return packed, nil // nothing is not compressed
	}
	switch coding {
	case "gzip", "x-gzip":
		return gzip.NewReader(packed)
	case "deflate":
		// It is zlib's format (RFC 9110, section 8.4.1.2), and some servers
		// leave that one's header out.
		if len(head) == 2 && head[0]&0xf == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
			return zlib.NewReader(packed)
		}
		return flate.NewReader(packed), nil
	}
	return nil, fmt.Errorf("answer is compressed with %q, which cannot be shown as text: gzip and deflate can", coding)
}

// capped reads at most left bytes from r, and fails with err if there are more.
type capped struct {
	r    io.Reader
	left int64
	err  error
}

func (c *capped) Read(p []byte) (int, error) {
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		c.left = 0
		return n - 1, c.err
	}
	return n, err
}
