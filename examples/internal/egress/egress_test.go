package egress_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tracebaton/tracebaton/examples/internal/egress"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parse(t *testing.T, list string) egress.Policy {
	t.Helper()
	p, err := egress.Parse(list)
	require.NoError(t, err)
	return p
}

func TestAddressIsJudged(t *testing.T) {
	tests := []struct {
		name  string
		allow string
		addr  string
		why   string // "" is allowed
	}{
		{"a private address is allowed", "", "10.1.2.3", ""},
		{"a private address is allowed in IPv6", "", "fd12:3456::1", ""},
		{"a private address is allowed as IPv6 that means IPv4", "", "::ffff:192.168.1.1", ""},
		{"loopback is allowed where a range names it", "127.0.0.0/8", "127.0.0.1", ""},
		{"loopback is allowed where its address is named", "::1", "::1", ""},
		{"a public address is allowed where a range names it", "10.0.0.0/8, 8.8.8.0/24", "8.8.8.8", ""},
		{"any address is allowed where its host is named", "svc.example", "8.8.8.8", ""},
		{"any address is allowed where all hosts of a domain are named", "*.example", "127.0.0.1", ""},
		{"a host is named in any case and with the root's dot", "SVC.example.", "8.8.8.8", ""},

		{"loopback is refused", "", "127.0.0.1", "loopback"},
		{"all of loopback is refused", "", "127.8.9.10", "loopback"},
		{"loopback is refused in IPv6", "", "::1", "loopback"},
		{"loopback is refused as IPv6 that means IPv4", "", "::ffff:127.0.0.1", "loopback"},
		{"loopback is refused through NAT64", "", "64:ff9b::7f00:1", "loopback"},
		{"a public address is refused", "", "8.8.8.8", "public"},
		{"a public address is refused in IPv6", "", "2001:4860:4860::8888", "public"},
		{"carrier-grade NAT is refused", "", "100.64.0.1", "public"},
		{"a range does not admit its neighbours", "8.8.4.0/24", "8.8.8.8", "public"},
		{"a name does not admit another", "example.com", "8.8.8.8", "public"},
		{"a name does not admit those below it", "example", "8.8.8.8", "public"},
		{"the names below one are not those that end like it", "*.vc.example", "8.8.8.8", "public"},
		{"metadata is refused whatever host is named", "svc.example", "169.254.169.254", "metadata"},

		{"metadata is refused", "", "169.254.169.254", "metadata"},
		{"metadata is refused whatever the list says", "0.0.0.0/0, 169.254.0.0/15", "169.254.169.254", "metadata"},
		{"metadata is refused among private addresses", "::/0", "fd00:ec2::254", "metadata"},
		{"credentials of pods are refused", "", "fd00:ec2::23", "metadata"},
		{"Google's metadata is refused in IPv6", "::/0", "fd20:ce::254", "metadata"},
		{"Alibaba's metadata is refused", "100.64.0.0/10", "100.100.100.200", "metadata"},
		{"Alibaba's metadata is refused in IPv6", "::/0", "fd00:100::100:200", "metadata"},
		{"Oracle's metadata is refused in IPv6", "::/0", "fd00:c1::a9fe:a9fe", "metadata"},
		{"Akamai's metadata is refused in IPv6", "::/0", "fd00:a9fe:a9fe::1", "metadata"},
		{"Scaleway's metadata is refused in IPv6", "::/0", "fd00:42::42", "metadata"},
		{"Azure's wire server is refused", "0.0.0.0/0", "168.63.129.16", "metadata"},
		{"metadata is refused through NAT64", "::/0", "64:ff9b::a9fe:a9fe", "metadata"},
		{"metadata is refused through a NAT64 of one's own", "::/0", "64:ff9b:1::a9fe:a9fe", "metadata"},
		{"metadata is refused in another place of a NAT64's address", "::/0", "64:ff9b:1:a9fe:a9:fe00::", "metadata"},
		{"metadata is refused through stateless translation", "::/0", "::ffff:0:169.254.169.254", "metadata"},
		{"metadata is refused through 6to4", "::/0", "2002:a9fe:a9fe::1", "metadata"},
		{"metadata is refused as IPv6 that means IPv4", "0.0.0.0/0, ::/0", "::ffff:169.254.169.254", "metadata"},
		{"link-local is refused whatever the list says", "0.0.0.0/0", "169.254.1.1", "link-local"},
		{"link-local is refused in IPv6", "::/0", "fe80::1", "link-local"},
		{"multicast is refused whatever the list says", "0.0.0.0/0", "224.0.0.1", "multicast"},
		{"multicast is refused in IPv6", "::/0", "ff02::1", "multicast"},
		{"broadcast is refused whatever the list says", "0.0.0.0/0", "255.255.255.255", "multicast"},
		{"unspecified is refused whatever the list says", "0.0.0.0/0", "0.0.0.0", "unspecified"},
		{"unspecified is refused in IPv6", "::/0", "::", "unspecified"},
		{"this network is refused", "0.0.0.0/0", "0.1.2.3", "unspecified"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := parse(t, tt.allow).Check("Svc.Example", netip.MustParseAddr(tt.addr))
			if tt.why == "" {
				require.NoError(t, err)
				return
			}
			var r *egress.Refused
			require.ErrorAs(t, err, &r)
			assert.Contains(t, r.Why, tt.why)
			assert.Contains(t, r.Error(), "Svc.Example at "+r.Addr.String())
		})
	}
}

func TestListOfAllowedHostsIsRefusedWhereItMeansNothing(t *testing.T) {
	for _, list := range []string{
		"http://example.com", "example.com:80", "*", "*.", "a b", "10.0.0.0/33", "exämple.com", ".example.com", "a*b",
		"127.1", "2130706433", "0x7F000001", "0177.0.0.1", "10.0.0.256", "*.127.1", "::1/128%eth0",
	} {
		_, err := egress.Parse(list)
		assert.ErrorContains(t, err, "is no host pattern", list)
	}
	for list, why := range map[string]string{
		"::ffff:127.0.0.0/104":          `"::ffff:127.0.0.0/104" is a range of IPv4 written as IPv6: write 127.0.0.0/8`,
		"::ffff:7f00:0/104":             "write 127.0.0.0/8",
		"::ffff:0:0/96":                 "write 0.0.0.0/0",
		"localhost, ::ffff:8.8.8.8/128": "write 8.8.8.8/32",
		"10.1.2.3/8":                    "is an address within a range: write 10.0.0.0/8 or 10.1.2.3",
		"fd00::1/8":                     "write fd00::/8 or fd00::1",
		"::ffff:8.8.8.8/95":             "is an address within a range",
		"fe80::1%eth0":                  "has a zone, which no address is judged by: write fe80::1",
		"::1%lo":                        "write ::1",
		"fe80::1%eth0/64":               "has a zone",
		"169.254.169.254":               "is a cloud's metadata address, which is never allowed",
		"::ffff:169.254.169.254":        "metadata",
		"fd00:ec2::/32":                 "metadata",
		"169.254.0.0/16":                "link-local",
		"fe80::/10":                     "link-local",
		"224.0.0.0/4":                   "multicast",
		"ff00::/8":                      "multicast",
		"0.0.0.0":                       "unspecified",
		"0.0.0.0/8":                     "unspecified",
		"::":                            "unspecified",
		"64:ff9b::a9fe:a9fe":            "metadata",
		"64:ff9b:1::/48":                "translator",
	} {
		_, err := egress.Parse(list)
		assert.ErrorContains(t, err, why, list)
	}
	for _, list := range []string{
		"", " , ,", "localhost", "*.example.com,10.0.0.1, ::1 ,fd00::/8", "::ffff:127.0.0.1", "0.0.0.0/0, ::/0", "2002::/16",
		"64:ff9b::/96", "224.0.0.0/3", "169.254.0.0/15", "a1.b2", "0xa.example", "3com.example",
	} {
		_, err := egress.Parse(list)
		assert.NoError(t, err, list)
	}
}

// dns is a server of names.
type dns struct {
	conn  net.PacketConn
	names map[string][]string
	mu    sync.Mutex
	asked map[string]int // queries by name and type
}

// serveDNS starts one that answers queries for a name in turn with each of its
// entries, which are addresses with spaces between them.
func serveDNS(t *testing.T, names map[string][]string) *dns {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	d := &dns{conn: conn, names: names, asked: make(map[string]int)}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
			m.Answers = d.answer(m.Questions[0])
			if answer, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return d
}

func (d *dns) answer(q dnsmessage.Question) (answers []dnsmessage.Resource) {
	name := strings.ToLower(q.Name.String())
	entries := d.names[name]
	if len(entries) == 0 {
		return nil
	}
	d.mu.Lock()
	query := name + " " + q.Type.String()
	entry := entries[d.asked[query]%len(entries)]
	d.asked[query]++
	d.mu.Unlock()
	for address := range strings.FieldsSeq(entry) {
		header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		switch addr := netip.MustParseAddr(address); {
		case addr.Is4() && q.Type == dnsmessage.TypeA:
			answers = append(answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && q.Type == dnsmessage.TypeAAAA:
			answers = append(answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return answers
}

// resolver returns one that asks this server alone.
func (d *dns) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", d.conn.LocalAddr().String())
	}}
}

// queries is how often the name has been asked for, by type.
func (d *dns) queries(name string) (a, aaaa int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[name+" TypeA"], d.asked[name+" TypeAAAA"]
}

func resolver(t *testing.T, names map[string][]string) *net.Resolver {
	t.Helper()
	return serveDNS(t, names).resolver()
}

// counted is a server that counts its connections.
func counted(t *testing.T) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var conns atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "here")
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s, &conns
}

func get(d *egress.Dialer, client *http.Client, url string) error {
	if client == nil {
		tr := d.Transport()
		defer tr.CloseIdleConnections()
		client = &http.Client{Transport: tr}
	}
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return res.Body.Close()
}

func TestNameIsJudgedByWhatItResolvesTo(t *testing.T) {
	server, conns := counted(t)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	dns := resolver(t, map[string][]string{
		"loopback.example.": {"127.0.0.1"},
		"metadata.example.": {"169.254.169.254"},
	})

	var r *egress.Refused
	d := &egress.Dialer{Resolver: dns}
	require.ErrorAs(t, get(d, nil, "http://loopback.example:"+port), &r)
	assert.Equal(t, "127.0.0.1", r.Addr.String())
	assert.Equal(t, "loopback.example", r.Host)

	d.Policy = parse(t, "metadata.example")
	require.ErrorAs(t, get(d, nil, "http://metadata.example:"+port), &r)
	assert.Contains(t, r.Why, "metadata")
	assert.Zero(t, conns.Load(), "a refused address was connected to")

	d.Policy = parse(t, "loopback.example")
	require.NoError(t, get(d, nil, "http://loopback.example:"+port))
	assert.EqualValues(t, 1, conns.Load())
}

func TestNameThatChangesIsJudgedEachTime(t *testing.T) {
	server, _ := counted(t)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	d := &egress.Dialer{
		Policy:   parse(t, "127.0.0.1"),
		Resolver: resolver(t, map[string][]string{"rebound.example.": {"127.0.0.1", "127.0.0.2"}}),
	}
	require.NoError(t, get(d, nil, "http://rebound.example:"+port))
	var r *egress.Refused
	require.ErrorAs(t, get(d, nil, "http://rebound.example:"+port), &r)
	assert.Equal(t, "127.0.0.2", r.Addr.String())
}

func TestConnectionOfAnAllowedNameServesNoOther(t *testing.T) {
	server, conns := counted(t)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	d := &egress.Dialer{
		Policy: parse(t, "good.example"),
		Resolver: resolver(t, map[string][]string{
			"good.example.": {"127.0.0.1"},
			"evil.example.": {"127.0.0.1"},
		}),
	}
	tr := d.Transport()
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	require.NoError(t, get(d, client, "http://good.example:"+port))
	require.NoError(t, get(d, client, "http://good.example:"+port))
	require.EqualValues(t, 1, conns.Load(), "the connection is kept")

	var r *egress.Refused
	require.ErrorAs(t, get(d, client, "http://evil.example:"+port), &r)
	require.ErrorAs(t, get(d, client, "http://127.0.0.1:"+port), &r)
}

func TestResolveMapsNamesAndDoesNotGetAroundThePolicy(t *testing.T) {
	server, _ := counted(t)
	d := &egress.Dialer{Resolve: func(addr string) string {
		if addr == "httpbin:8000" {
			return server.Listener.Addr().String()
		}
		return ""
	}}
	var r *egress.Refused
	require.ErrorAs(t, get(d, nil, "http://httpbin:8000/"), &r)
	assert.Equal(t, "httpbin", r.Host)

	for _, allow := range []string{"httpbin", "127.0.0.0/8"} {
		d.Policy = parse(t, allow)
		require.NoError(t, get(d, nil, "http://httpbin:8000/"), allow)
	}
}

func TestNoProxyConnectsInItsPlace(t *testing.T) {
	assert.Nil(t, (&egress.Dialer{}).Transport().Proxy)
}

func TestAnswersArePassedOnAsTheyWereSent(t *testing.T) {
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	_, err := io.WriteString(gz, "hello")
	require.NoError(t, err)
	require.NoError(t, gz.Close())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NotContains(t, r.Header, "Accept-Encoding", "nobody asked for it")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	}))
	defer server.Close()
	tr := (&egress.Dialer{Policy: parse(t, "127.0.0.1")}).Transport()
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get(server.URL)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, "gzip", res.Header.Get("Content-Encoding"))
	assert.Equal(t, packed.Bytes(), body)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "localhost", "*.example.com, 10.0.0.0/8", "::/0,0.0.0.0/0", "fe80::1%eth0", "169.254.169.254"} {
		f.Add(s, "169.254.169.254")
	}
	f.Fuzz(func(t *testing.T, list, address string) {
		p, err := egress.Parse(list)
		if err != nil {
			return
		}
		addr, err := netip.ParseAddr(address)
		if err != nil {
			return
		}
		if plain := addr.Unmap(); plain.IsLinkLocalUnicast() || plain.IsMulticast() || plain.IsUnspecified() {
			require.Error(t, p.Check(strings.TrimPrefix(list, "*."), addr))
		}
		if addr, err := netip.ParseAddr(strings.TrimSpace(list)); err == nil {
			require.NoError(t, p.Check("", addr), "what is on the list is allowed")
		}
	})
}
