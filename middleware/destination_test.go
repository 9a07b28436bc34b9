package middleware_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tracebaton/tracebaton/middleware"
)

func TestInternalIsWhatOnlyTheClusterCanMean(t *testing.T) {
	for host, want := range map[string]bool{
		"reviews": true, "reviews:9080": true, "REVIEWS": true, "reviews.": true, "my_service": true, "localhost": true,
		"reviews.prod.svc": true, "reviews.prod.svc.cluster.local": true, "reviews.prod.svc.cluster.local.:80": true, "api.localhost": true,
		"127.0.0.1": true, "127.8.8.8:80": true, "[::1]:80": true, "10.0.0.1": true, "172.31.0.1": true, "192.168.1.1": true,
		"[fd12:3456::1]": true, "100.96.0.10": true, "[::ffff:100.64.0.1]": true, "reviews.prod.svc.clusterset.local": true, "[::ffff:10.0.0.1]": true,

		"example.com": false, "reviews.prod": false, "svc": true, "cluster.local": false, "reviews.prod.svc.evil.example": false,
		"notcluster.local": false, "evil-svc.com": false, "8.8.8.8": false, "172.32.0.1": false, "100.63.0.1": false, "100.128.0.1": false, "clusterset.local": false, "[2001:db8::1]": false, "[::ffff:8.8.8.8]": false,
		"169.254.169.254": false, "[fe80::1]": false, "[fe80::1%25eth0]": false, "0.0.0.0": false, "[64:ff9b::a00:1]": false,
		"134744072": false, "0x8080808": false, "8.8.2056": false, "010.1": false, "": false, ".": false, "..": false,
		"evil\u3002example": false, "evil\uff0eexample": false, "reviews\u00ad": false, "a b": false, "rev\u0130ews": false,
	} {
		t.Run(host, func(t *testing.T) {
			assert.Equal(t, want, middleware.Internal()(&http.Request{URL: &url.URL{Scheme: "http", Host: host}}))
		})
	}
	t.Run("a request without a URL goes nowhere", func(t *testing.T) {
		assert.False(t, middleware.Internal()(&http.Request{Host: "reviews"}))
	})
}

func TestHostsMatchesNamesDomainsAndRanges(t *testing.T) {
	match := middleware.Hosts("reviews.prod", "*.corp.example.com", "API.example.org.", "10.1.2.3", "192.168.0.0/16", "fd00::/8", "::1", "localhost")
	for host, want := range map[string]bool{
		"reviews.prod": true, "Reviews.Prod:80": true, "reviews.prod.": true, "a.corp.example.com": true, "a.b.corp.example.com:443": true,
		"api.example.org": true, "10.1.2.3": true, "[::ffff:10.1.2.3]": true, "192.168.3.4:80": true, "[fd12::1]": true, "[::1]:80": true, "localhost": true,

		"corp.example.com": false, "evilcorp.example.com": false, "a.corp.example.com.evil.example": false, "reviews": false, "reviews.prod.evil": false,
		"10.1.2.4": false, "192.169.0.1": false, "[fe80::1]": false, "127.0.0.1": false, "": false, "rev\u0130ews.prod": false, "x.corp.\u0130.example.com": false, "\u0130.corp.example.com": false,
	} {
		t.Run(host, func(t *testing.T) {
			assert.Equal(t, want, match(&http.Request{URL: &url.URL{Scheme: "http", Host: host}}))
		})
	}
	t.Run("a zone does not keep an address out of its range", func(t *testing.T) {
		assert.True(t, middleware.Hosts("fe80::/10")(&http.Request{URL: &url.URL{Host: "[fe80::1%25eth0]"}}))
	})
	t.Run("no patterns match nothing", func(t *testing.T) {
		assert.False(t, middleware.Hosts()(&http.Request{URL: &url.URL{Host: "reviews"}}))
	})
	for _, pattern := range []string{"", ".", "*", "*.", "*.*.com", "a.*.com", "http://reviews", "reviews:80", "reviews/path", "user@host", "10.0.0.0/33", "[::1]", "fe80::1%eth0", ".example.com", "a b", "b\u00fccher.example", "g\u0130thub.com", "::ffff:10.0.0.0/104"} {
		t.Run("panics at startup on "+pattern, func(t *testing.T) {
			assert.Panics(t, func() { middleware.Hosts("good", pattern) })
		})
	}
}
