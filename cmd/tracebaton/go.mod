module github.com/tracebaton/tracebaton/cmd/tracebaton

go 1.26.0

require (
	github.com/stretchr/testify v1.12.1
	github.com/tracebaton/tracebaton v0.0.0
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/term v0.48.0 // indirect
)

replace github.com/tracebaton/tracebaton => ../../
