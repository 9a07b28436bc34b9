package real_test

import "testing"

const all = "request-id,b3,w3c,baggage,datadog,jaeger"

var proxies = []service{
	{"nginx", nginx, "", []row{
		{path: "/", families: all, exit: 0,
			truth:    map[string][]string{every: {}, unsampled: {}, several: {}, nothing: {}},
			headline: "relays x-request-id, B3, W3C, baggage, Datadog and Jaeger"},
		{path: "/request-id", families: "request-id,b3,w3c", exit: 1,
			truth:    map[string][]string{every: {"x-request-id: t"}, nothing: {"x-request-id: t"}},
			headline: "relays B3 and W3C; replaces x-request-id"},
		{path: "/no-flags", families: "request-id,b3,w3c", exit: 1,
			truth:    map[string][]string{every: {}, debug: {"x-b3-flags: -"}},
			headline: "relays x-request-id and W3C; loses a decision in B3"},
		{path: "/mirror", families: "request-id,w3c", calls: 2, exit: 1,
			truth:    map[string][]string{every: {"traceparent: -"}}, // in one of two
			headline: "relays x-request-id; drops W3C"},
	}},
	{"HAProxy", haproxy, "", []row{
		{path: "/", families: all, exit: 0,
			truth:    map[string][]string{every: {}, unsampled: {}, several: {}, nothing: {}},
			headline: "relays x-request-id, B3, W3C, baggage, Datadog and Jaeger"},
		{path: "/unique-id", families: "request-id,b3,w3c", exit: 1,
			truth:    map[string][]string{every: {"x-request-id: R", "x-request-id: r"}, nothing: {"x-request-id: r"}},
			headline: "relays B3 and W3C; repeats x-request-id"},
		{path: "/set-b3", families: "request-id,b3", exit: 1,
			truth:    map[string][]string{every: {}, denied: {"x-b3-traceid: "}, nothing: {"x-b3-sampled: ", "x-b3-traceid: "}},
			headline: "relays x-request-id; sends empty headers of B3"},
		{path: "/twice", families: "request-id,b3,w3c", exit: 1,
			truth: map[string][]string{
				every:   {"traceparent: 00-T-S-01", "traceparent: 00-T-S-01"},
				nothing: {"traceparent: "},
			},
			headline: "whole where sidecars read B3; broken where they read W3C"},
	}},
}

func nginx(t *testing.T, addr, upstream string) {
	need(t, "nginx")
	config := fill(t, "nginx/nginx.conf", addr, upstream)
	run(t, addr, nil, "nginx", "-p", t.TempDir(), "-e", "stderr", "-c", config)
}

func haproxy(t *testing.T, addr, upstream string) {
	need(t, "haproxy")
	run(t, addr, nil, "haproxy", "-db", "-f", fill(t, "haproxy/haproxy.cfg", addr, upstream))
}
