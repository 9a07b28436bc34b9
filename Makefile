.PHONY: jaeger jaeger-build integration

# The Jaeger server that users run: some minutes the first time, seconds after.
jaeger-build:
	cd deploy/jaeger && GOWORK=off go build -ldflags='-s -w' -o bin/ github.com/jaegertracing/jaeger/cmd/jaeger && GOWORK=off go run ./ui bin/ui

# Jaeger on loopback, its UI at http://127.0.0.1:16686, traces in memory.
jaeger: jaeger-build
	cd deploy/jaeger && JAEGER_UI_ASSETS=bin/ui bin/jaeger --config config.yaml

# The services against real servers and a real browser.
integration: jaeger-build
	cd integration && GOWORK=off go test ./...
