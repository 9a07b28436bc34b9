package egress_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tracebaton/tracebaton/examples/internal/egress"
)

// FuzzCheck judges addresses anew, by package net.
func FuzzCheck(f *testing.F) {
	f.Add("*.example.com, 127.0.0.0/8", "a.example.com", "127.0.0.1")
	ranges := func(list ...string) func(net.IP) bool {
		var nets []*net.IPNet
		for _, text := range list {
			_, n, err := net.ParseCIDR(text)
			require.NoError(f, err)
			nets = append(nets, n)
		}
		return func(ip net.IP) bool {
			for _, n := range nets {
				if n.Contains(ip) {
					return true
				}
			}
			return false
		}
	}
	never := ranges("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32",
		"::/128", "fe80::/10", "ff00::/8", "fd00:ec2::/32", "fd20:ce::254/128", "fd00:42::42/128",
		"fd00:100::100:200/128", "fd00:c1::a9fe:a9fe/128", "fd00:a9fe:a9fe::1/128")
	private := ranges("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
	atTheEnd, atTheStart := ranges("64:ff9b::/96", "::/96"), ranges("2002::/16")

	f.Fuzz(func(t *testing.T, list, host, address string) {
		p, err := egress.Parse(list)
		addr, err2 := netip.ParseAddr(address)
		if err != nil || err2 != nil {
			return
		}
		plain, _, _ := strings.Cut(address, "%")
		ip := net.ParseIP(plain)
		require.NotNil(t, ip)
		allowed := p.Check(host, addr) == nil

		// IPv4 within IPv6, which a gateway takes out again.
		inside := ip
		if b := ip.To16(); ip.To4() == nil {
			switch {
			case atTheEnd(ip) && !ip.IsLoopback():
				inside = net.IP(b[12:16])
			case atTheStart(ip):
				inside = net.IP(b[2:6])
			}
		}
		if never(ip) || never(inside) {
			require.False(t, allowed, "%s, whatever the list", address)
			return
		}
		if listed(t, list, host, ip) {
			require.True(t, allowed, "%s is on the list", address)
		} else if !private(ip) {
			require.False(t, allowed, "%s is not on the list", address)
		}
	})
}

// listed reports whether the list, which has been parsed, names the host or
// the address.
func listed(t *testing.T, list, host string, ip net.IP) bool {
	t.Helper()
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if _, n, err := net.ParseCIDR(entry); err == nil {
			if n.Contains(ip) {
				return true
			}
			continue
		}
		if one := net.ParseIP(entry); one != nil {
			if one.Equal(ip) {
				return true
			}
			continue
		}
		entry = strings.ToLower(strings.TrimSuffix(entry, "."))
		if below, ok := strings.CutPrefix(entry, "*"); ok && entry != "" {
			if strings.HasSuffix(host, below) {
				return true
			}
		} else if entry != "" && entry == host {
			return true
		}
	}
	return false
}
