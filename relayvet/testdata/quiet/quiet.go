// Package quiet has what looks like a loss and is none: nothing is reported.
package quiet

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"example.com/shop/pb"
)

type service struct {
	ctx  context.Context
	auth interface{ Inject(*http.Request) }
	send func(context.Context, *http.Request) (*http.Response, error)
}

func boundInline(w http.ResponseWriter, r *http.Request) {
	req, _ := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	_, _ = http.DefaultClient.Do(req.WithContext(r.Context()))
}

func boundLater(w http.ResponseWriter, r *http.Request) {
	req, _ := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	req = req.WithContext(r.Context())
	_, _ = http.DefaultClient.Do(req)
}

func boundInPlace(w http.ResponseWriter, r *http.Request) {
	req, _ := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	*req = *req.WithContext(r.Context())
	_, _ = http.DefaultClient.Do(req)
}

func (s *service) passedWithContext(ctx context.Context) {
	req, _ := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	_, _ = s.send(ctx, req)
}

func (s *service) contextOfReceiver(w http.ResponseWriter, r *http.Request) {
	req, _ := http.NewRequestWithContext(s.ctx, http.MethodGet, "http://prices/1", nil)
	_, _ = http.DefaultClient.Do(req)
}

func build(ctx context.Context, path string) (*http.Request, error) {
	return http.NewRequest(http.MethodGet, "http://prices/"+path, nil)
}

func boundByCaller(ctx context.Context) {
	req, _ := build(ctx, "1")
	_, _ = http.DefaultClient.Do(req.WithContext(ctx))
}

func bind(req *http.Request, ctx context.Context) { *req = *req.WithContext(ctx) }

func boundByHelper(w http.ResponseWriter, r *http.Request) {
	req, _ := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	bind(req, r.Context())
	_, _ = http.DefaultClient.Do(req)
}

func relayed(w http.ResponseWriter, r *http.Request) {
	_, _ = http.DefaultClient.Do(r)
}

func headersCopied(w http.ResponseWriter, r *http.Request) {
	req, _ := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	for k, vv := range r.Header {
		for _, v := range vv {
			req.Header.Add(k, v)
		}
	}
	_, _ = http.DefaultClient.Do(req)
}

func headersAssigned(w http.ResponseWriter, r *http.Request) {
	req, _ := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	req.Header = r.Header.Clone()
	_, _ = http.DefaultClient.Do(req)
}

func headersCloned(w http.ResponseWriter, r *http.Request) {
	req, _ := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	maps.Copy(req.Header, r.Header)
	_, _ = http.DefaultClient.Do(req)
}

func copyTrace(from, to *http.Request) {
	for _, h := range []string{"traceparent", "x-request-id"} {
		if v := from.Header.Get(h); v != "" {
			to.Header.Set(h, v)
		}
	}
}

func traceCopied(w http.ResponseWriter, r *http.Request) {
	req, _ := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	copyTrace(r, req)
	_, _ = http.DefaultClient.Do(req)
}

func traceSet(w http.ResponseWriter, r *http.Request) {
	req, _ := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	if id := r.Header.Get("X-Request-Id"); id != "" {
		req.Header.Set("X-Request-Id", r.Header.Get("X-Request-Id"))
	}
	_, _ = http.DefaultClient.Do(req)
}

const api = "https://api.example.com"

var apiURL = "https://api.example.com/v1"

func publicHosts(w http.ResponseWriter, r *http.Request) {
	_, _ = http.Get("https://example.com/" + r.URL.Path)
	_, _ = http.Get(api + "/v1")
	_, _ = http.Get(apiURL + "/users")
	_, _ = http.Get(fmt.Sprintf("https://%s.example.com/%d", r.Host, 1))
	u := "https://example.com"
	if r.TLS != nil {
		u = "https://example.org"
	}
	_, _ = http.Get(u)
	p, _ := url.Parse("https://example.com/x")
	_, _ = http.Get(p.String())
	_, _ = http.Get(apiOf(r))
}

func apiOf(r *http.Request) string {
	if r.TLS != nil {
		return api + "/v2"
	}
	return api
}

// The program's own, which what is started with it keeps.
var forever, stop = context.WithCancel(context.Background())

func configure(ctx context.Context, client pb.PricesClient) {
	_, _ = client.Price(ctx, &pb.PriceRequest{})
}

func reconfigured(w http.ResponseWriter, r *http.Request, client pb.PricesClient) {
	configure(forever, client)
}

func noContext(ctx context.Context, client pb.PricesClient) {
	if ctx == nil {
		ctx = context.Background()
	}
	_, _ = client.Price(ctx, &pb.PriceRequest{})
}

func eitherContext(w http.ResponseWriter, r *http.Request, client pb.PricesClient) {
	ctx := context.Background()
	if r != nil {
		ctx = r.Context()
	}
	_, _ = client.Price(ctx, &pb.PriceRequest{})
}

func released(w http.ResponseWriter, r *http.Request, client pb.PricesClient) {
	defer func() { _, _ = client.Price(context.Background(), &pb.PriceRequest{}) }()
}

var once sync.Once

func onlyOnce(w http.ResponseWriter, r *http.Request) {
	once.Do(func() { _, _ = http.Get("http://config/1") })
}

func NewService(ctx context.Context) *service {
	_, _ = http.Get("http://config/1")
	return &service{ctx: ctx}
}

func (s *service) Shutdown(ctx context.Context) { _, _ = http.Get("http://registry/leave") }

func stored(ctx context.Context) func() {
	return func() { _, _ = http.Get("http://config/1") }
}

func later() func() {
	return func() { _, _ = http.Get("http://config/1") }
}

func keeps(w http.ResponseWriter, r *http.Request) { _ = later() }

func command(cmd *cobra.Command, args []string) error {
	_, err := http.Get("http://prices/1")
	return err
}

// A controller's work is nobody's request.
func (s *service) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	_, err := http.Get("http://prices/" + req.Name)
	return reconcile.Result{}, err
}

type priceStream interface {
	CloseSend() error
	RecvMsg(m any) error
}

type watcher struct{ prices priceStream }

// The stream is the watcher's, and stays when the request is over.
func (wa *watcher) connect(ctx context.Context, open func(context.Context, ...grpc.CallOption) (priceStream, error)) (err error) {
	wa.prices, err = open(context.Background())
	return err
}

func helper(t *testing.T, ctx context.Context) { _, _ = http.Get("http://prices/1") }

func notSent(w http.ResponseWriter, r *http.Request) {
	req, _ := http.NewRequest(http.MethodGet, "http://prices/1", nil)
	_ = req
}

func background() { _, _ = http.Get("http://prices/1") } // no handler reaches it

func generic[T any](ctx context.Context, v T, client pb.PricesClient, opts ...grpc.CallOption) {
	_, _ = client.Price(ctx, &pb.PriceRequest{}, opts...)
}

func silencedAbove(w http.ResponseWriter, r *http.Request) {
	//relayvet:ignore the licence server knows no traces
	_, _ = http.Get("http://licence/1")
}

func silencedBeside(w http.ResponseWriter, r *http.Request) {
	_, _ = http.Get("http://licence/1") //relayvet:ignore the licence server knows no traces
}

func silencedBelow() {
	_, _ = http.Get("http://licence/1") //relayvet:ignore the licence server knows no traces
}

func reaches(w http.ResponseWriter, r *http.Request) { silencedBelow() }
