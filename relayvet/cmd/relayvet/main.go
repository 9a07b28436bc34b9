// Relayvet reports the lines of a Go program on which an incoming request's
// trace is lost.
//
//	go run github.com/tracebaton/tracebaton/relayvet/cmd/relayvet@latest ./...
//	go vet -vettool=$(which relayvet) ./...
//
// -fix applies the suggested fixes, and -json prints the reports for other
// programs. To see its switches, run: relayvet help relayvet
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"

	"github.com/tracebaton/tracebaton/relayvet"
)

func main() { multichecker.Main(relayvet.Analyzer) }
