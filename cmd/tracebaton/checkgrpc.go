package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jhump/protoreflect/v2/grpcreflect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// speaksGRPC reports whether the service is called over gRPC.
func (f checkFlags) speaksGRPC() bool {
	return strings.HasPrefix(f.url, "grpc://") || strings.HasPrefix(f.url, "grpcs://")
}

// understandGRPC says what is wrong with what was asked of a service that is
// called over gRPC.
func (f checkFlags) understandGRPC() error {
	u, err := url.Parse(f.url)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%q is not of the form grpc://host:port/package.Service/Method", f.url)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q has a query or a fragment; gRPC has neither: the message goes into -d, as JSON", f.url)
	case f.method != "":
		return errors.New("-X is for HTTP: the method of a gRPC call is in the URL")
	case f.header.Get("Host") != "":
		return errors.New("-H 'Host: …' is for HTTP")
	}
	return nil
}

// grpcService sends requests as calls of one method of a gRPC service, which
// has told by reflection what its messages are made of.
type grpcService struct {
	conn   *grpc.ClientConn
	method protoreflect.MethodDescriptor
	idle   time.Duration // how long a stream may be silent before it is left
}

// newGRPCService asks the service what the method is, and whether the message
// in -d is one of it.
func newGRPCService(f checkFlags, config *tls.Config, idle time.Duration) (*grpcService, error) {
	u, err := url.Parse(f.url)
	if err != nil {
		return nil, err
	}
	creds := insecure.NewCredentials()
	if u.Scheme == "grpcs" {
		creds = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(u.Host, grpc.WithTransportCredentials(creds), grpc.WithUserAgent("tracebaton"))
	if err != nil {
		return nil, fmt.Errorf("cannot call %s: %w", u.Host, err)
	}
	s := &grpcService{conn: conn, idle: idle}
	ctx, cancel := context.WithTimeout(context.Background(), f.timeout)
	defer cancel()
	if s.method, err = reflectMethod(ctx, conn, strings.TrimPrefix(u.Path, "/")); err == nil {
		_, err = s.message(strings.NewReplacer("{upstream}", "http://upstream", "{grpc-upstream}", "upstream").Replace(f.body))
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// reflectMethod finds package.Service/Method.
func reflectMethod(ctx context.Context, conn *grpc.ClientConn, name string) (protoreflect.MethodDescriptor, error) {
	client := grpcreflect.NewClientAuto(ctx, conn)
	defer client.Reset()
	service, method, ok := strings.Cut(name, "/")
	if !ok || strings.Contains(method, "/") {
		services, err := client.ListServices()
		if err != nil {
			return nil, reflectionError(conn.Target(), err)
		}
		return nil, fmt.Errorf("the URL names no method, as in grpc://host:port/package.Service/Method; the server has the services %s", list(services))
	}
	descriptor, err := client.AsResolver().FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		services, listErr := client.ListServices()
		if listErr != nil {
			return nil, reflectionError(conn.Target(), listErr)
		}
		if !slices.Contains(services, protoreflect.FullName(service)) {
			return nil, fmt.Errorf("the server has no service %s; it has %s", printable(service), list(services))
		}
		return nil, fmt.Errorf("the server has the service %s, but does not describe it: %w", printable(service), err)
	}
	described, ok := descriptor.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s is not a service of the server", printable(service))
	}
	if m := described.Methods().ByName(protoreflect.Name(method)); m != nil {
		return m, nil
	}
	var methods []protoreflect.Name
	for i := range described.Methods().Len() {
		methods = append(methods, described.Methods().Get(i).Name())
	}
	return nil, fmt.Errorf("the service %s has no method %s; it has %s", printable(service), printable(method), list(methods))
}

// reflectionError says why there is no reflection, and what to do.
func reflectionError(target string, err error) error {
	switch status.Code(err) {
	case codes.Unimplemented:
		return errors.New("the server has no reflection, by which check learns what the method takes: " +
			"register it (in Go, reflection.Register(server) of google.golang.org/grpc/reflection), or test the service with package middleware/grpcrelay/grpcrelaytest")
	case codes.Unavailable:
		return fmt.Errorf("the service does not answer at %s: %s; see that it listens there, and that grpc:// (without TLS) or grpcs:// (with) is right", target, status.Convert(err).Message())
	case codes.DeadlineExceeded:
		return fmt.Errorf("the service at %s did not say in time what the method takes (server reflection); -timeout gives it longer", target)
	}
	return fmt.Errorf("cannot learn from %s what the method takes (server reflection): %w", target, err)
}

func list[T ~string](names []T) string {
	const most = 20
	var all []string
	for _, name := range names {
		all = append(all, printable(string(name)))
	}
	slices.Sort(all)
	if len(all) > most {
		all = append(all[:most], "…")
	}
	return strings.Join(all, ", ")
}

// message reads the JSON of a message.
func (s *grpcService) message(body string) (*dynamicpb.Message, error) {
	input := s.method.Input()
	m := dynamicpb.NewMessage(input)
	if strings.TrimSpace(body) == "" {
		body = "{}"
	}
	if err := protojson.Unmarshal([]byte(body), m); err != nil {
		var fields []string
		for i := range input.Fields().Len() {
			fields = append(fields, input.Fields().Get(i).JSONName())
		}
		return nil, fmt.Errorf("-d is not the %s in JSON that %s takes: %w; its fields are %s", input.FullName(), s.method.FullName(), err, list(fields))
	}
	return m, nil
}

// RoundTrip makes a call of the request: its headers become metadata, and its
// body the message. The answer's messages become the body, in JSON.
func (s *grpcService) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	message, err := s.message(string(body))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(r.Context(), toMetadata(r.Header)))
	defer cancel()
	res := &http.Response{Header: make(http.Header), Request: r, Proto: "HTTP/2.0", ProtoMajor: 2}
	answer, err := s.exchange(ctx, message, res.Header)
	if deadline, ok := r.Context().Deadline(); ok && status.Code(err) == codes.DeadlineExceeded && time.Until(deadline) < 100*time.Millisecond {
		return nil, context.DeadlineExceeded // the service may have noticed first
	}
	if ctxErr := r.Context().Err(); ctxErr != nil {
		return nil, ctxErr
	}
	res.StatusCode = http.StatusOK
	if err != nil {
		st := status.Convert(err)
		res.StatusCode = httpStatus(st.Code())
		answer = fmt.Appendf(nil, "%s in gRPC: %s", st.Code(), st.Message())
	}
	res.Body = io.NopCloser(bytes.NewReader(answer))
	return res, nil
}

// exchange sends one message and receives those of the answer: of a stream, as
// many as come before it is silent for a while.
func (s *grpcService) exchange(ctx context.Context, message *dynamicpb.Message, header http.Header) (answer []byte, err error) {
	const most = 100
	desc := &grpc.StreamDesc{ClientStreams: s.method.IsStreamingClient(), ServerStreams: s.method.IsStreamingServer()}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.conn.NewStream(ctx, desc, fmt.Sprintf("/%s/%s", s.method.Parent().FullName(), s.method.Name()))
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(message); err != nil && !errors.Is(err, io.EOF) { // RecvMsg says why it has ended
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	for n := range most {
		m := dynamicpb.NewMessage(s.method.Output())
		timer := time.AfterFunc(s.idle, func() {
			if n > 0 {
				cancel()
			}
		})
		err := stream.RecvMsg(m)
		silent := !timer.Stop() && n > 0
		if md, mdErr := stream.Header(); n == 0 && mdErr == nil {
			for name, values := range md {
				header[http.CanonicalHeaderKey(name)] = values
			}
		}
		switch {
		case errors.Is(err, io.EOF), err != nil && silent:
			return answer, nil
		case err != nil:
			return answer, err
		}
		if text, err := protojson.Marshal(m); err == nil && len(answer) < 4<<10 {
			answer = append(append(answer, text...), '\n')
		}
		if !desc.ServerStreams {
			break
		}
	}
	return answer, nil
}

// toMetadata returns the headers as gRPC has them, less those of HTTP.
func toMetadata(h http.Header) metadata.MD {
	md := make(metadata.MD)
	for name, values := range h {
		name = strings.ToLower(name)
		if slices.Contains([]string{"accept", "content-type", "user-agent"}, name) {
			continue
		}
		for _, v := range values {
			if strings.HasSuffix(name, "-bin") {
				// Metadata has the bytes of what is base64 in HTTP.
				if raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(v, "=")); err == nil {
					v = string(raw)
				}
			}
			md.Append(name, v)
		}
	}
	return md
}

// httpStatus is the status of HTTP that says the same, as grpc-gateway maps
// them: those below 500 are the caller's fault.
func httpStatus(code codes.Code) int {
	switch code {
	case codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.Aborted:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
