module github.com/tracebaton/tracebaton/propagation/otelprop

go 1.25.0

require (
	github.com/stretchr/testify v1.11.1
	github.com/tracebaton/tracebaton v0.0.0
	go.opentelemetry.io/contrib/propagators/b3 v1.42.0
	go.opentelemetry.io/otel v1.42.0
	go.opentelemetry.io/otel/trace v1.42.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/davecgh/go-spew v1.1.1 // indirect
	github.com/go-logr/logr v1.4.3 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/pmezard/go-difflib v1.0.0 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel/metric v1.42.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
)

replace github.com/tracebaton/tracebaton => ../../
