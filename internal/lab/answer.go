package lab

import (
	"encoding/binary"
	"fmt"
	"mime"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
)

// Answers are what a service's calls are answered with: the first whose
// pattern matches the path, or else what the caller accepts, an empty JSON
// object if that is anything. A gRPC call gets UNIMPLEMENTED unless a pattern
// matches it.
//
// Nil answers everything by default.
type Answers []Answer

// Answer is what calls of some paths are answered with.
type Answer struct {
	// Pattern is a path in the form of [path.Match], in which a * at the end
	// stands for slashes, too. Empty matches every path, but no gRPC call.
	Pattern string
	Body    []byte
	Status  int // zero is 200; the status of gRPC, where the call is one, and zero is OK
	Header  http.Header

	body bool // Body is one, if an empty one
}

// Add takes BODY, @file, or /pattern=BODY, which may be @file as well, into the
// answers.
func (a *Answers) Add(s string) error {
	pattern, body, err := cut(s)
	if err != nil {
		return err
	}
	content := []byte(body)
	if name, ok := strings.CutPrefix(body, "@"); ok {
		if content, err = os.ReadFile(name); err != nil { //nolint:gosec // the user names the file
			return fmt.Errorf("cannot read the answer: %w", err)
		}
	}
	answer := a.of(pattern)
	answer.Body, answer.body = content, true
	return nil
}

// https://github.com/grpc/grpc/blob/v1.76.0/doc/statuscodes.md
const maxGRPCStatus = 16

// AddStatus takes CODE or /pattern=CODE into the answers.
func (a *Answers) AddStatus(s string) error {
	pattern, code, err := cut(s)
	if err != nil {
		return err
	}
	status, err := strconv.Atoi(code)
	if err != nil || status < 0 || status > maxGRPCStatus && status < 200 || status > 599 {
		return fmt.Errorf("%q is not a status: HTTP's are 200 to 599, gRPC's are 0 to %d", code, maxGRPCStatus)
	}
	a.of(pattern).Status = status
	return nil
}

// AddHeader takes a header, with or without a pattern, into the answers.
func (a *Answers) AddHeader(s string) error {
	pattern, header, err := cut(s)
	if err != nil {
		return err
	}
	name, value, ok := strings.Cut(header, ":")
	if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, " \t=") {
		return fmt.Errorf("%q is not of the form 'name: value'", header)
	}
	answer := a.of(pattern)
	if answer.Header == nil {
		answer.Header = make(http.Header)
	}
	answer.Header.Add(name, strings.TrimSpace(value))
	return nil
}

// cut splits off the pattern, which begins with a slash.
func cut(s string) (pattern, rest string, err error) {
	if !strings.HasPrefix(s, "/") {
		return "", s, nil
	}
	pattern, rest, ok := strings.Cut(s, "=")
	if !ok {
		return "", "", fmt.Errorf("%q is not of the form /path=ANSWER", s)
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return "", "", fmt.Errorf("%q is not a pattern: %w", pattern, err)
	}
	return pattern, rest, nil
}

// of returns the answer with the pattern, which it adds if there is none.
// Those for every path come last.
func (a *Answers) of(pattern string) *Answer {
	at := len(*a)
	for i, answer := range *a {
		if answer.Pattern == pattern {
			return &(*a)[i]
		}
		if answer.Pattern == "" {
			at = i
		}
	}
	if pattern == "" {
		at = len(*a)
	}
	*a = append((*a)[:at], append(Answers{{Pattern: pattern}}, (*a)[at:]...)...)
	return &(*a)[at]
}

// matches reports whether the answer is for the path.
func (a Answer) matches(p string) bool {
	if a.Pattern == "" {
		return true
	}
	if prefix, ok := strings.CutSuffix(a.Pattern, "*"); ok && strings.HasPrefix(p, prefix) {
		return true
	}
	ok, err := path.Match(a.Pattern, p)
	return ok && err == nil
}

// ServeHTTP answers a call.
func (a Answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if grpc(r) {
		a.serveGRPC(w, r)
		return
	}
	contentType, body := accepted(r.Header.Get("Accept"))
	status := http.StatusOK
	for _, answer := range a {
		if !answer.matches(r.URL.Path) {
			continue
		}
		if answer.body {
			body = answer.Body
		}
		if answer.Status > maxGRPCStatus {
			status = answer.Status
		}
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		break
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified {
		_, _ = w.Write(body)
	}
}

// accepted returns an answer of a type that the caller accepts.
func accepted(accept string) (contentType string, body []byte) {
	for part := range strings.SplitSeq(accept, ",") {
		media, _, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		switch {
		case media == "application/json", media == "*/*", media == "application/*", strings.HasSuffix(media, "+json"):
			return "application/json", []byte("{}\n")
		case media == "text/html":
			return "text/html; charset=utf-8", []byte("<!DOCTYPE html><title>tracebaton</title>\n")
		case media == "text/plain", media == "text/*":
			return "text/plain; charset=utf-8", []byte("{}\n")
		case media == "application/xml", media == "text/xml":
			return media, []byte("<tracebaton/>\n")
		case media == "text/event-stream":
			return media, []byte("data: {}\n\n")
		}
	}
	return "application/json", []byte("{}\n")
}

// grpc reports whether a call is one of gRPC.
func grpc(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// serveGRPC answers a call of gRPC: with the body as the one message of the
// answer, in protobuf's encoding, of which an empty one is the zero value.
func (a Answers) serveGRPC(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	for _, answer := range a {
		if answer.Pattern == "" || !answer.matches(r.URL.Path) {
			continue
		}
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		if answer.Status != 0 {
			finish(w, answer.Status, "")
			return
		}
		// A message is not compressed (0), and its length comes before it.
		message := append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(answer.Body)))...) //nolint:gosec // a file of 4 GiB is no answer
		_, _ = w.Write(append(message, answer.Body...))
		finish(w, 0, "")
		return
	}
	const unimplemented = 12
	finish(w, unimplemented, "tracebaton only looks at the headers; -answer says what else to answer")
}

// finish sends the status of gRPC, in trailers.
func finish(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(http.StatusOK)
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(status))
	if message != "" {
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", message)
	}
}
