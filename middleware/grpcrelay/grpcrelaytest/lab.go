package grpcrelaytest

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// lab is a gRPC service with HTTP before and behind it: to propagationtest it
// looks like a service over HTTP, which is called and calls.
//
//	propagationtest -HTTP-> serve -gRPC-> the service -gRPC-> serveUpstream -HTTP-> propagationtest
//
// The contexts are joined by hand: what the one on the left carries is found in
// the one on the right, unless the service has dropped it.
type lab struct {
	service Service
	method  method

	base     http.RoundTripper // sends to propagationtest's upstream
	url      string            // of that
	client   *http.Client      // as the service has it
	backend  *grpc.Server
	upstream *http.Server
	server   *grpc.Server
	conn     *grpc.ClientConn // to the service
	out      *grpc.ClientConn // from the service to the upstream
	err      error            // why there is no service

	last    atomic.Int64
	callers sync.Map // of string to context.Context: who waits for the service
	calls   sync.Map // of string to *call: those that the service made

	mu    sync.Mutex
	sent  map[string]bool // values of grpc-trace-bin, decoded
	twice bool            // one of them arrived encoded twice
}

// callerKey and callKey are metadata by which the lab knows whose a call is:
// the first is on calls to the service, the second on those that it makes.
const (
	callerKey = "grpcrelaytest-caller"
	callKey   = "grpcrelaytest-call"
)

// call is one that the service has made.
type call struct {
	ctx    context.Context // the service's own
	method string
	desc   *grpc.StreamDesc
	body   io.Reader // for the upstream: propagationtest's own calls may have one
}

// contextKey finds the *call in the contexts that are made of it.
type contextKey struct{}

// joined is a context with the values of another as well.
type joined struct {
	context.Context
	values context.Context
}

func (j joined) Value(key any) any {
	if v := j.values.Value(key); v != nil {
		return v
	}
	return j.Context.Value(key)
}

// methods returns what is to be tested, in the order of their names.
func (s Service) methods() ([]method, error) {
	if s.Register == nil {
		return nil, errors.New("grpcrelaytest: Service.Register is nil")
	}
	registered := grpc.NewServer()
	defer registered.Stop()
	s.Register(registered, Upstream{ClientConnInterface: nowhere{}, Client: new(http.Client)})
	var methods []method
	for service, info := range registered.GetServiceInfo() {
		for _, m := range info.Methods {
			name := "/" + service + "/" + m.Name
			message, ok := s.Methods[name]
			if s.Methods != nil && !ok {
				continue
			}
			if message == nil {
				message = new(emptypb.Empty)
			}
			methods = append(methods, method{name, grpc.StreamDesc{ClientStreams: m.IsClientStream, ServerStreams: m.IsServerStream}, message})
		}
	}
	for name := range s.Methods {
		if !slices.ContainsFunc(methods, func(m method) bool { return m.name == name }) {
			return nil, fmt.Errorf("grpcrelaytest: Service.Register registers no method %s, which is in Service.Methods", name)
		}
	}
	if len(methods) == 0 {
		return nil, errors.New("grpcrelaytest: Service.Register registers no method that could be called")
	}
	slices.SortFunc(methods, func(a, b method) int { return cmp.Compare(a.name, b.name) })
	return methods, nil
}

// nowhere is an upstream that is not called.
type nowhere struct{}

func (nowhere) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return status.Error(codes.Unavailable, "grpcrelaytest: a call before the test began")
}

func (n nowhere) NewStream(ctx context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, n.Invoke(ctx, method, nil, nil)
}

func newLab(s Service, m method) (*lab, error) {
	l := &lab{service: s, method: m, sent: make(map[string]bool)}
	l.backend = grpc.NewServer(grpc.UnknownServiceHandler(answer))
	if s.Backend != nil {
		s.Backend(l.backend)
	}
	l.upstream = &http.Server{Handler: http.HandlerFunc(l.serveUpstream), Protocols: new(http.Protocols)} //nolint:gosec // nobody else calls it
	l.upstream.Protocols.SetUnencryptedHTTP2(true)
	l.server = grpc.NewServer(append([]grpc.ServerOption{grpc.StatsHandler(incoming{l})}, s.ServerOptions...)...)
	var err error
	if l.out, err = l.serveAt(l.upstream.Serve, slices.Concat(s.DialOptions, []grpc.DialOption{grpc.WithStatsHandler(outgoing{})})...); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// serveAt serves on a loopback address, and connects to it.
func (l *lab) serveAt(serve func(net.Listener) error, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("grpcrelaytest: cannot listen on a loopback address: %w", err)
	}
	go func() { _ = serve(listener) }()
	opts = append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, opts...)
	conn, err := grpc.NewClient(listener.Addr().String(), opts...)
	if err != nil {
		return nil, fmt.Errorf("grpcrelaytest: cannot connect with Service.DialOptions: %w", err)
	}
	return conn, nil
}

func (l *lab) close() {
	for _, conn := range []*grpc.ClientConn{l.conn, l.out} {
		if conn != nil {
			_ = conn.Close()
		}
	}
	l.server.Stop()
	_ = l.upstream.Close()
	l.backend.Stop()
}

// handler is the service as propagationtest sees it.
func (l *lab) handler(upstream string, client *http.Client) http.Handler {
	l.url, l.base = upstream, client.Transport
	l.client = &http.Client{Transport: l.base}
	l.service.Register(l.server, Upstream{ClientConnInterface: noting{l}, URL: upstream, Client: l.client})
	l.conn, l.err = l.serveAt(l.server.Serve)
	if len(l.service.DialOptions) > 0 || l.client.Transport != l.base {
		client.Transport = driver{l}
	}
	return http.HandlerFunc(l.serve)
}

// serve calls the service with the headers of the request.
func (l *lab) serve(w http.ResponseWriter, r *http.Request) {
	if err := l.call(r); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (l *lab) call(r *http.Request) error {
	if l.err != nil {
		return l.err
	}
	id := strconv.FormatInt(l.last.Add(1), 10)
	l.callers.Store(id, r.Context())
	defer l.callers.Delete(id)
	r.Header.Del("User-Agent")
	md := toMetadata(r.Header)
	l.mu.Lock()
	for _, v := range md["grpc-trace-bin"] {
		l.sent[v] = true
	}
	l.mu.Unlock()
	md.Set(callerKey, id)
	return exchange(metadata.NewOutgoingContext(r.Context(), md), l.conn, l.method.name, &l.method.desc, l.method.message)
}

// exchange makes a call of whatever kind with one message.
func exchange(ctx context.Context, conn grpc.ClientConnInterface, method string, desc *grpc.StreamDesc, message any) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !desc.ClientStreams && !desc.ServerStreams {
		return conn.Invoke(ctx, method, message, new(emptypb.Empty))
	}
	stream, err := conn.NewStream(ctx, desc, method)
	if err != nil {
		return err
	}
	_ = stream.SendMsg(message) // RecvMsg has the error
	_ = stream.CloseSend()
	for err = stream.RecvMsg(new(emptypb.Empty)); err == nil && desc.ServerStreams; {
		err = stream.RecvMsg(new(emptypb.Empty))
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// toMetadata returns the headers as gRPC takes them: bytes for -bin names.
func toMetadata(h http.Header) metadata.MD {
	md := make(metadata.MD)
	for name, values := range h {
		name = strings.ToLower(name)
		md[name] = slices.Clone(values)
		for i, v := range md[name] {
			if raw, ok := decode(v); ok && strings.HasSuffix(name, "-bin") {
				md[name][i] = raw
			}
		}
	}
	return md
}

// decode reads base64 with or without padding.
func decode(v string) (string, bool) {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(v, "="))
	return string(raw), err == nil
}

// incoming gives a call to the service the values of its caller's context.
type incoming struct{ lab *lab }

func (i incoming) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	for _, id := range metadata.ValueFromIncomingContext(ctx, callerKey) {
		if caller, ok := i.lab.callers.Load(id); ok {
			return joined{ctx, caller.(context.Context)}
		}
	}
	return ctx
}

func (incoming) HandleRPC(context.Context, stats.RPCStats)                         {}
func (incoming) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (incoming) HandleConn(context.Context, stats.ConnStats)                       {}

// noting is the connection that the service has. It notes the context in which
// each call is made, before anything is added to it.
type noting struct{ lab *lab }

func (n noting) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	ctx = n.note(ctx, &call{ctx: ctx, method: method, desc: new(grpc.StreamDesc)})
	return n.lab.out.Invoke(ctx, method, args, reply, opts...)
}

func (n noting) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	ctx = n.note(ctx, &call{ctx: ctx, method: method, desc: desc})
	return n.lab.out.NewStream(ctx, desc, method, opts...)
}

func (n noting) note(ctx context.Context, c *call) context.Context {
	if own, ok := ctx.Value(contextKey{}).(*call); ok {
		c.body = own.body
	}
	id := strconv.FormatInt(n.lab.last.Add(1), 10)
	n.lab.calls.Store(id, c)
	return context.WithValue(ctx, idKey{}, id)
}

type idKey struct{}

// outgoing marks each call with the number by which it was noted. Nothing that
// the service installs comes after it.
type outgoing struct{ incoming }

func (outgoing) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	if id, ok := ctx.Value(idKey{}).(string); ok {
		return metadata.AppendToOutgoingContext(ctx, callKey, id)
	}
	return ctx
}

// serveUpstream is what the service calls. It sees the headers as they are on
// the wire, shows them to propagationtest, and answers when that has.
func (l *lab) serveUpstream(w http.ResponseWriter, r *http.Request) {
	ctx, body := r.Context(), io.Reader(nil)
	made, ok := l.calls.Load(r.Header.Get(callKey))
	if ok {
		c := made.(*call)
		ctx = context.WithValue(joined{ctx, c.ctx}, contextKey{}, c)
		body = c.body
	}
	if err := l.show(ctx, r, body); err != nil {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", strconv.Itoa(int(codes.Internal)))
		w.Header().Set("Grpc-Message", strings.Map(printable, err.Error()))
		return
	}
	l.backend.ServeHTTP(w, r.WithContext(ctx))
}

func printable(c rune) rune {
	if c < ' ' || '~' < c || c == '%' {
		return ' '
	}
	return c
}

// show makes the call over HTTP that propagationtest takes for the service's.
func (l *lab) show(ctx context.Context, r *http.Request, body io.Reader) error {
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+r.URL.Path, body) //nolint:gosec // the URL is propagationtest's
	if err != nil {
		return err
	}
	for name, values := range r.Header {
		switch {
		case name == "Grpc-Trace-Bin":
			l.note(values)
			out.Header[name] = values
		case strings.HasPrefix(name, "Grpc"), strings.HasPrefix(name, "Content-"), name == "Te", name == "User-Agent":
			// They are of this call only.
		default:
			out.Header[name] = values
		}
	}
	res, err := l.base.RoundTrip(out)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if err == nil && res.StatusCode >= http.StatusBadRequest {
		err = errors.New(res.Status)
	}
	return err
}

// note notes whether one of grpc-trace-bin's values was encoded twice.
func (l *lab) note(values []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range values {
		if raw, ok := decode(v); ok {
			again, ok := decode(raw)
			l.twice = l.twice || ok && l.sent[again]
		}
	}
}

// faults are those that only gRPC has.
func (l *lab) faults() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.twice {
		return []error{errors.New("grpc-trace-bin arrived encoded twice: metadata takes the bytes themselves for a name that ends in -bin, and encodes them; what HTTP calls the value is the base64 of them")}
	}
	return nil
}

// answer answers any method: with one empty message, and where both sides send
// many, with one for each.
func answer(_ any, stream grpc.ServerStream) error {
	desc := new(grpc.StreamDesc)
	if c, ok := stream.Context().Value(contextKey{}).(*call); ok {
		desc = c.desc
	}
	answered := false
	for {
		err := stream.RecvMsg(new(emptypb.Empty))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if !answered || err == nil && desc.ClientStreams && desc.ServerStreams {
			answered = true
			if err := stream.SendMsg(new(emptypb.Empty)); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

// driver makes propagationtest's own calls as the service makes them: over HTTP,
// or the same method over the same connection, in the context of the service's
// call.
type driver struct{ lab *lab }

func (d driver) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	made, ok := ctx.Value(contextKey{}).(*call)
	if !ok {
		return d.lab.client.Transport.RoundTrip(r)
	}
	c := *made
	c.body = r.Body
	md, _ := metadata.FromOutgoingContext(ctx) // a copy
	if md == nil {
		md = make(metadata.MD)
	}
	maps.Copy(md, toMetadata(r.Header))
	ctx = metadata.NewOutgoingContext(context.WithValue(ctx, contextKey{}, &c), md)
	res := &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Body: http.NoBody, Request: r}
	if err := exchange(ctx, noting(d), c.method, c.desc, new(emptypb.Empty)); err != nil {
		return nil, err
	}
	return res, nil
}
