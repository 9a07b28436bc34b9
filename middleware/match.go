package middleware

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Internal reports whether r goes to a host that only the cluster can mean,
// for [Transport]'s Match: a name without dots (reviews, localhost), a name
// below .svc, .cluster.local or .localhost, and a loopback or private address
// (RFC 1918, RFC 4193).
//
// A short name with a namespace (reviews.prod) looks like one of the
// Internet's, and so does a name of the company's own domain: name these with
// [Hosts]. Link-local addresses, where clouds serve their metadata, are not
// internal. The name is judged as it is written and not resolved.
func Internal(r *http.Request) bool {
	host := hostOf(r)
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return addr.IsLoopback() || addr.IsPrivate()
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
	for _, domain := range []string{".svc", ".cluster.local", ".localhost"} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

// Hosts returns a Match for [Transport] that reports whether a request goes to
// one of the hosts: a name (api.example.com), all names below one
// (*.example.com, at any depth), an address (10.1.2.3), or a range of
// addresses (10.0.0.0/8). Ports and case do not matter, nor does a dot at the
// end. Names are not resolved: a range matches only hosts written as an
// address. A name in another alphabet is written as it is in DNS (xn--…).
// Hosts() matches nothing.
//
//	&middleware.Transport{Match: middleware.Hosts("reviews.prod", "*.corp.example.com")}
//
// To match these and others too, write the function:
//
//	corp := middleware.Hosts("*.corp.example.com")
//	match := func(r *http.Request) bool { return middleware.Internal(r) || corp(r) }
//
// Hosts panics, so that it shows when the program starts, if a pattern is none
// of these.
func Hosts(patterns ...string) func(*http.Request) bool {
	names := make(map[string]bool)
	var domains []string
	var ranges []netip.Prefix
	for _, pattern := range patterns {
		p := lower(strings.TrimSuffix(pattern, "."))
		if prefix, err := netip.ParsePrefix(p); err == nil && !prefix.Addr().Is4In6() {
			ranges = append(ranges, prefix.Masked())
			continue
		}
		if addr, err := netip.ParseAddr(p); err == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			ranges = append(ranges, netip.PrefixFrom(addr, addr.BitLen()))
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
	return func(r *http.Request) bool {
		host := hostOf(r)
		if addr, err := netip.ParseAddr(host); err == nil {
			addr = addr.Unmap().WithZone("")
			for _, prefix := range ranges {
				if prefix.Contains(addr) {
					return true
				}
			}
			return false
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
