package flaskapp_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/examples/internal/flaskapp"
)

func FuzzDecode(f *testing.F) {
	f.Add("", []byte("hello"))
	f.Add("gzip", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"))
	f.Add("deflate", []byte("\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15"))
	f.Add("Deflate ", []byte("\xcb\x48\xcd\xc9\xc9\x07\x00"))
	f.Add("br", []byte("\x0b"))
	f.Fuzz(func(t *testing.T, coding string, body []byte) {
		const limit = 100
		above := errors.New("above")
		if r, err := flaskapp.Decode(coding, iotest.OneByteReader(bytes.NewReader(body)), limit, above); err == nil {
			got, err := io.ReadAll(r)
			require.LessOrEqual(t, len(got), limit)
			if errors.Is(err, above) {
				require.Len(t, got, limit, "all that is allowed comes before the error")
			}
		}

		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write(body)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		r, err := flaskapp.Decode("gzip", &packed, int64(len(body)), above)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err, "exactly the limit is allowed")
		require.True(t, bytes.Equal(body, got))
	})
}
