// Package spans reads stored spans for package audit: what Jaeger, Zipkin and
// the OpenTelemetry Collector write, and what Jaeger and Zipkin answer.
package spans

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/tracebaton/tracebaton/internal/audit"
)

// maxElement is the size in bytes of what is held at once: a trace as Jaeger
// has it, a line of the Collector's, a span of Zipkin's.
const maxElement = 128 << 20

// Reader reads spans. Its zero value drops them.
type Reader struct {
	// Span is called with each span. If nil, spans are only counted.
	Span func(audit.Span)
	// Skip, if not nil, says which traces to leave out.
	Skip func(audit.TraceID) bool

	Spans      int // read
	Unreadable int // left out, since their IDs are none
	Traces     int // lists of spans of one trace, as the APIs answer
}

// Read reads spans as JSON, from one or more documents:
//
//   - Jaeger's: an answer of /api/traces, which is what its UI saves, or traces
//     one by one
//   - Zipkin's v2: a list of spans, a list of lists, or spans one by one
//   - OpenTelemetry's OTLP: documents with resourceSpans, as the Collector's
//     file exporter writes them, and answers of Jaeger's /api/v3/traces
//
// They may be compressed with gzip or zstd. What is read before an error is
// not lost: Span has been called with it.
func (r *Reader) Read(in io.Reader) error {
	plain, err := decompress(in)
	if err != nil {
		return err
	}
	defer func() { _ = plain.Close() }()
	m := &meter{r: plain, left: maxElement}
	d := &document{Reader: r, json: json.NewDecoder(m), meter: m}
	for {
		token, err := d.json.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = d.value(token)
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("read JSON at byte %d: %w", d.json.InputOffset(), err)
		}
	}
}

func decompress(in io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(in, 64<<10)
	magic, _ := b.Peek(4) // a shorter document says so itself
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		return z, nil
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxElement))
		if err != nil {
			return nil, fmt.Errorf("read zstd: %w", err)
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(b), nil
}

// meter is a reader that ends where one element takes too much.
type meter struct {
	r    io.Reader
	left int
}

var errTooLarge = fmt.Errorf("one trace, span or line has more than %d MB", maxElement>>20)

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, errTooLarge
	}
	n, err := m.r.Read(p[:min(len(p), m.left)])
	m.left -= n
	return n, err
}

// document is what is being read.
type document struct {
	*Reader
	json  *json.Decoder
	meter *meter
}

// value reads a value of the outermost level, which begins with that token. A
// document that holds everything is not held itself: its elements are read one
// by one.
func (d *document) value(token json.Token) error {
	switch token {
	case json.Delim('['):
		return d.elements()
	case json.Delim('{'):
		return d.object()
	}
	return fmt.Errorf("%v is neither an object nor a list", token)
}

func (d *document) object() error {
	var rest bytes.Buffer // what is not a list of elements
	for d.json.More() {
		key, err := d.json.Token()
		if err != nil {
			return err
		}
		switch key {
		case "data", "resourceSpans", "resource_spans":
			if err := d.list(); err != nil {
				return err
			}
			continue
		}
		var value json.RawMessage
		if err := d.json.Decode(&value); err != nil {
			return err
		}
		if rest.Len() > 0 {
			rest.WriteByte(',')
		}
		name, err := json.Marshal(key)
		if err != nil {
			return err
		}
		rest.Write(name)
		rest.WriteByte(':')
		rest.Write(value)
	}
	if _, err := d.json.Token(); err != nil { // the closing brace
		return err
	}
	d.meter.left = maxElement
	if rest.Len() == 0 {
		return nil
	}
	return d.decode(append(append([]byte{'{'}, rest.Bytes()...), '}'))
}

// list reads the value of a key that ought to be a list, if it is one.
func (d *document) list() error {
	token, err := d.json.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		return d.elements()
	case nil:
		return nil
	}
	return fmt.Errorf("%v where a list should be", token)
}

// elements reads the elements of a list, whose bracket is read.
func (d *document) elements() error {
	nested := false
	for first := true; d.json.More(); first = false {
		var err error
		switch {
		case first: // tells what the others are
			var raw json.RawMessage
			if err = d.json.Decode(&raw); err == nil {
				nested = raw[0] == '['
				err = d.decode(raw)
			}
		case nested:
			var list []element
			if err = tolerate(d.json.Decode(&list)); err == nil {
				d.nested(list)
			}
		default:
			var e element
			if err = tolerate(d.json.Decode(&e)); err == nil {
				d.take(&e)
			}
		}
		if err != nil {
			return err
		}
		d.meter.left = maxElement
	}
	_, err := d.json.Token() // the closing bracket
	return err
}

func (d *document) decode(raw []byte) error {
	if raw[0] == '[' {
		var list []element
		if err := tolerate(json.Unmarshal(raw, &list)); err != nil {
			return err
		}
		d.nested(list)
		return nil
	}
	var e element
	if err := tolerate(json.Unmarshal(raw, &e)); err != nil {
		return err
	}
	d.take(&e)
	return nil
}

func (d *document) nested(list []element) {
	d.Traces++
	for i := range list {
		d.take(&list[i])
	}
}

// tolerate lets pass what is only of another type than it should be: the field
// stays empty, and all else is read.
func tolerate(err error) error {
	var other *json.UnmarshalTypeError
	if errors.As(err, &other) {
		return nil
	}
	return err
}

// element is one of all that a list can be of.
type element struct {
	// Jaeger's trace.
	Spans     []jaegerSpan       `json:"spans"`
	Processes map[string]process `json:"processes"`
	// OTLP's spans of a resource, and those of Jaeger's answer.
	resourceSpans
	Result struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	} `json:"result"`
	// Zipkin's span.
	zipkinSpan
}

func (d *document) take(e *element) {
	switch {
	case e.Spans != nil:
		d.Traces++
		for i := range e.Spans {
			d.emit(e.Spans[i].span(e.Processes))
		}
	case e.ScopeSpans != nil || e.LibrarySpans != nil:
		e.each(d.emit)
	case e.Result.ResourceSpans != nil:
		for i := range e.Result.ResourceSpans {
			e.Result.ResourceSpans[i].each(d.emit)
		}
	case e.ID != "":
		d.emit(e.span())
	}
}

func (d *document) emit(s audit.Span, ok bool) {
	d.Spans++
	switch {
	case !ok:
		d.Unreadable++
	case d.Skip != nil && d.Skip(s.Trace):
	case d.Span != nil:
		d.Span(s)
	}
}
