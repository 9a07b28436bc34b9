// Package egress decides where a service that fetches what it is told to may
// connect to. The decision is made on the address that is dialled, after the
// name is resolved, so that neither a DNS name nor a redirect gets around it.
package egress

import (
	"fmt"
	"net/netip"
	"strings"
)

// Policy says which addresses may be dialled: private ones (RFC 1918,
// RFC 4193), and those that the policy's list names. Link-local, metadata,
// multicast and unspecified addresses never are, whatever the list says. The
// zero value has an empty list.
type Policy struct {
	names   map[string]bool
	domains []string // with the dot before them
	ranges  []netip.Prefix
}

// Parse returns the policy of a comma-separated list of names
// (api.example.com), all names below one (*.example.com), addresses (::1) and
// ranges of addresses (127.0.0.0/8). A name admits whatever it resolves to; a
// range admits every name that resolves into it. Ports are not part of it. An
// entry that would never match, or more than it seems to, is an error.
func Parse(list string) (Policy, error) {
	p := Policy{names: make(map[string]bool)}
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		if prefix, ok, err := parseRange(entry); err != nil {
			return Policy{}, fmt.Errorf("parse list of allowed hosts: %q %w", entry, err)
		} else if ok {
			p.ranges = append(p.ranges, prefix)
			continue
		}
		name, below := strings.CutPrefix(entry, "*.")
		name = canonical(name)
		if name == "" || name[0] == '.' || strings.Trim(name, inNames) != "" || IsNumber(name) {
			return Policy{}, fmt.Errorf("parse list of allowed hosts: %q is no host pattern: write a name without scheme and port, *.name, an address, or a range such as 10.0.0.0/8", entry)
		}
		if below {
			p.domains = append(p.domains, "."+name)
		} else {
			p.names[name] = true
		}
	}
	return p, nil
}

// parseRange reads an address or a range of addresses. It reports false if s is
// neither, and an error if it is one that means nothing.
func parseRange(s string) (prefix netip.Prefix, ok bool, err error) {
	prefix, err = netip.ParsePrefix(s)
	if err != nil {
		addr, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			return netip.Prefix{}, false, nil
		case addr.Zone() != "":
			return netip.Prefix{}, false, fmt.Errorf("has a zone, which no address is judged by: write %s", addr.WithZone(""))
		}
		addr = addr.Unmap()
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	addr := prefix.Addr()
	switch {
	case prefix != prefix.Masked():
		return netip.Prefix{}, false, fmt.Errorf("is an address within a range: write %s or %s", prefix.Masked(), addr)
	case addr.Is4In6():
		// Addresses are judged as what they mean.
		v4 := netip.PrefixFrom(addr.Unmap(), prefix.Bits()-(128-32))
		return netip.Prefix{}, false, fmt.Errorf("is a range of IPv4 written as IPv6: write %s", v4)
	}
	if why := never(addr); why != "" && never(within(prefix, 1, 0)) != "" && never(within(prefix, 1, 1)) != "" {
		return netip.Prefix{}, false, fmt.Errorf("is %s", why)
	}
	return prefix, true, nil
}

// within returns the address in a range of which the first of the bits that are
// free, and all bits after it, are as given.
func within(p netip.Prefix, first, rest byte) netip.Addr {
	b := p.Addr().AsSlice()
	for i, bit := p.Bits(), first; i < len(b)*8; i, bit = i+1, rest {
		b[i/8] |= bit << (7 - i%8)
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr
}

// IsNumber reports whether the name is one of the other ways to write an IPv4
// address: 2130706433, 0x7f000001, 0177.0.0.1, 127.1. Some resolvers read them
// so, each in its way, and others ask the DNS.
func IsNumber(name string) bool {
	name = canonical(name)
	last := name[strings.LastIndexByte(name, '.')+1:]
	digits := "0123456789"
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		last, digits = "0"+hex, "0123456789abcdef"
	}
	return last != "" && strings.Trim(last, digits) == ""
}

// Refused is the error of a connection that the policy does not admit.
type Refused struct {
	Host string     // as the URL has it
	Addr netip.Addr // what it resolved to
	Why  string
}

func (e *Refused) Error() string {
	if e.Host == e.Addr.String() {
		return fmt.Sprintf("not allowed to connect to %s: %s", e.Addr, e.Why)
	}
	return fmt.Sprintf("not allowed to connect to %s at %s: %s", e.Host, e.Addr, e.Why)
}

// Check returns a *Refused unless a connection made for host may go to addr.
func (p Policy) Check(host string, addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if why := never(addr); why != "" {
		return &Refused{host, addr, why}
	}
	if addr.IsPrivate() || p.admits(canonical(host), addr) {
		return nil
	}
	kind := "a public address"
	if v4, ok := embedded(addr); addr.IsLoopback() || ok && v4.IsLoopback() {
		kind = "a loopback address"
	}
	return &Refused{host, addr, kind + " that the list of allowed hosts (FETCH_ALLOW) does not name"}
}

func (p Policy) admits(host string, addr netip.Addr) bool {
	if p.names[host] {
		return true
	}
	for _, domain := range p.domains {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	for _, prefix := range p.ranges {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// metadata are the addresses at which clouds hand out credentials. Those that
// are link-local as well are here for the reason that they are refused with.
var metadata = []netip.Prefix{
	netip.MustParsePrefix("169.254.169.254/32"), // most clouds
	netip.MustParsePrefix("fd00:ec2::/32"),      // Amazon: metadata, task and pod credentials
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google
	netip.MustParsePrefix("fd00:42::42/128"),    // Scaleway
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba
	netip.MustParsePrefix("fd00:100::100:200/128"),
	netip.MustParsePrefix("192.0.0.192/32"), // Oracle
	netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"),
	netip.MustParsePrefix("fd00:a9fe:a9fe::1/128"), // Akamai
	netip.MustParsePrefix("168.63.129.16/32"),      // Azure
}

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8") // Linux takes it for the host itself
	broadcast   = netip.MustParseAddr("255.255.255.255")
)

// never returns why addr is refused whatever the list says, or "".
func never(addr netip.Addr) string {
	for _, prefix := range metadata {
		if prefix.Contains(addr) {
			return "a cloud's metadata address, which is never allowed"
		}
	}
	switch {
	case addr.IsUnspecified(), thisNetwork.Contains(addr):
		return "an unspecified address, which is never allowed"
	case addr.IsLinkLocalUnicast():
		return "a link-local address, which is never allowed"
	case addr.IsMulticast(), addr == broadcast:
		return "a multicast address, which is never allowed"
	case nat64Local.Contains(addr):
		// RFC 6052 has six places for the IPv4 address, and only the network
		// knows which one it uses.
		return "an address of the network's own translator, behind which metadata may be, which is never allowed"
	}
	if v4, ok := embedded(addr); ok {
		return never(v4)
	}
	return ""
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")
	compatible = netip.MustParsePrefix("::/96")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
)

// embedded returns the IPv4 address that a gateway makes of addr.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	switch {
	case nat64.Contains(addr), translated.Contains(addr),
		compatible.Contains(addr) && !addr.IsLoopback():
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// canonical returns a host name in lower case and without the root's dot.
func canonical(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// inNames are the characters of the names that are dialled: net/http turns
// those of other alphabets into these before.
const inNames = "abcdefghijklmnopqrstuvwxyz0123456789-._"
