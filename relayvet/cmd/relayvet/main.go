// Relayvet reports the lines of a Go program on which an incoming request's
// trace is lost.
//
//	go run github.com/tracebaton/tracebaton/relayvet/cmd/relayvet@latest ./...
//	go vet -vettool=$(which relayvet) ./...
//
// Run relayvet help relayvet for its switches; -fix applies the suggested
// fixes, -json prints the reports for other programs.
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"

	"github.com/tracebaton/tracebaton/relayvet"
)

func main() { multichecker.Main(relayvet.Analyzer) }
