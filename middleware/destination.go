package middleware

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Destination reports whether an outgoing request may carry the headers. It is the
// type of [Transport]'s Match. It may judge by the request's URL or by anything
// else, and must not change the request. Transport calls it for every hop of a
// redirect.
type Destination func(out *http.Request) bool

// Internal returns a Destination for hosts that only the cluster can mean:
//
//   - a name without dots (reviews, localhost), and a name below .svc,
//     .cluster.local, .clusterset.local (the Multi-Cluster Services API's) or
//     .localhost;
//   - a loopback or private address (RFC 1918, RFC 4193);
//   - an address in 100.64.0.0/10 (RFC 6598), which the Internet does not route
//     and several clouds give to pods.
//
// A short name with a namespace (reviews.prod) looks like a name of the Internet,
// and so does one of the company's own domain: name these with [Hosts]. Link-local
// addresses, where clouds serve their metadata, are not internal. Internal judges
// a name as it is written, and does not resolve it.
func Internal() Destination { return internal }

func internal(out *http.Request) bool {
	host := hostOf(out)
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return addr.IsLoopback() || addr.IsPrivate() || sharedAddresses.Contains(addr)
	}
	if strings.ContainsFunc(host, notInNames) {
		// net/http reads evil\u3002example as evil.example (IDNA).
		return false
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" || '0' <= last[0] && last[0] <= '9' {
		// Some resolvers read 134744072 and 0x8080808 as the address 8.8.8.8.
		return false
	}
	if last == host {
		return true
	}
	for _, domain := range []string{".svc", ".cluster.local", ".clusterset.local", ".localhost"} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

// Hosts returns a Destination for the hosts that match one of the patterns: a
// name (api.example.com), all names below one (*.example.com, at any depth), an
// address (10.1.2.3), or a range of addresses (10.0.0.0/8). Ports and case do
// not matter, nor does a dot at the end. Names are not resolved: a range
// matches only hosts written as an address. Write a name in another alphabet as it
// is in DNS (xn--…). Hosts() matches nothing.
//
//	&middleware.Transport{Match: middleware.Hosts("reviews.prod", "*.corp.example.com")}
//
// To match internal hosts and others, write a function:
//
//	internal, corp := middleware.Internal(), middleware.Hosts("*.corp.example.com")
//	match := func(out *http.Request) bool { return internal(out) || corp(out) }
//
// Hosts panics, so that it shows when the program starts, if a pattern has none of
// these forms.
func Hosts(patterns ...string) Destination {
	names := make(map[string]bool)
	var domains []string
	var ranges []netip.Prefix
	for _, pattern := range patterns {
		p := lower(strings.TrimSuffix(pattern, "."))
		if prefix, ok := parsePrefix(p); ok {
			ranges = append(ranges, prefix)
			continue
		}
		name, below := strings.CutPrefix(p, "*.")
		if name == "" || strings.ContainsFunc(name, notInNames) || strings.HasPrefix(name, ".") {
			panic(fmt.Sprintf("middleware: %q is not a host pattern; use a name in ASCII without scheme, port and path, *.name, an address, or a range such as 10.0.0.0/8", pattern))
		}
		if below {
			domains = append(domains, "."+name)
		} else {
			names[name] = true
		}
	}
	return func(out *http.Request) bool {
		host := hostOf(out)
		if addr, err := netip.ParseAddr(host); err == nil {
			return contains(ranges, addr)
		}
		if strings.ContainsFunc(host, notInNames) {
			return false
		}
		if names[host] {
			return true
		}
		for _, domain := range domains {
			if strings.HasSuffix(host, domain) {
				return true
			}
		}
		return false
	}
}

// parsePrefix reads a range of addresses, or one address. It refuses a range of
// IPv4-mapped addresses, which would match nothing: contains unmaps.
func parsePrefix(s string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return prefix.Masked(), !prefix.Addr().Is4In6()
	}
	addr, err := netip.ParseAddr(s)
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), err == nil && addr.Zone() == ""
}

func contains(ranges []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// notInNames reports whether c is in no name that a cluster gives.
func notInNames(c rune) bool {
	return (c < 'a' || 'z' < c) && (c < '0' || '9' < c) && c != '-' && c != '.' && c != '_'
}

// hostOf returns the host that r goes to, in lower case and without port,
// brackets and the root's dot.
func hostOf(r *http.Request) string {
	if r.URL == nil {
		return ""
	}
	return lower(strings.TrimSuffix(r.URL.Hostname(), "."))
}

// lower is strings.ToLower for ASCII alone. The whole of it makes an i of
// \u0130, which net/http dials as another name (IDNA).
func lower(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}, s)
}
