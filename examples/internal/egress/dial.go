package egress

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Dialer connects to where its policy allows. The zero value allows private
// addresses.
type Dialer struct {
	Policy Policy

	// Resolve maps the host:port of a URL to the one to dial in its place, as
	// a cluster's DNS does: httpbin:8000 to 127.0.0.1:43215. The policy judges
	// the name that the URL has and the address that is dialled. Nil, and an
	// empty result, change nothing.
	Resolve func(addr string) string

	// Resolver looks up names. Nil is net.DefaultResolver.
	Resolver *net.Resolver
}

// DialContext connects to addr, a host:port, with a *Refused in the chain of
// the error when the policy does not allow it. No packet is sent then but
// those of the name's lookup.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", addr, err)
	}
	if d.Resolve != nil {
		if to := d.Resolve(addr); to != "" {
			addr = to
		}
	}
	dialer := net.Dialer{
		Timeout:  10 * time.Second,
		Resolver: d.Resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("judge %q: %w", address, err)
			}
			return d.Policy.Check(host, to.Addr())
		},
	}
	return dialer.DialContext(ctx, network, addr)
}

// Transport returns a client transport that dials with d and nothing else: no
// proxy, which would connect in its place. net/http keeps connections by the
// host and port of the URL, so one that was made for an allowed name is never
// used for another name, wherever that leads. Responses are passed on as they
// were sent, compressed or not.
func (d *Dialer) Transport() *http.Transport {
	return &http.Transport{
		DialContext:            d.DialContext,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
