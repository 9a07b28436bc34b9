// Package golangci makes relayvet a linter of golangci-lint, by its module
// plugin system; docs/relayvet.md has the configuration.
package golangci

import (
	"fmt"

	"github.com/golangci/plugin-module-register/register"
	"golang.org/x/tools/go/analysis"

	"github.com/tracebaton/tracebaton/relayvet"
)

func init() { register.Plugin("relayvet", New) }

// New is what golangci-lint calls with the linter's settings: the analyzer's
// switches, by name, such as late: true. Nil settings leave them as they are.
func New(settings any) (register.LinterPlugin, error) {
	switches, err := register.DecodeSettings[map[string]bool](settings)
	if err != nil {
		return nil, fmt.Errorf("read relayvet's settings, which are switches such as late: true: %w", err)
	}
	for name, on := range switches {
		if err := relayvet.Analyzer.Flags.Set(name, fmt.Sprint(on)); err != nil {
			return nil, fmt.Errorf("set relayvet's switch %s: %w", name, err)
		}
	}
	return plugin{}, nil
}

type plugin struct{}

func (plugin) BuildAnalyzers() ([]*analysis.Analyzer, error) {
	return []*analysis.Analyzer{relayvet.Analyzer}, nil
}

func (plugin) GetLoadMode() string { return register.LoadModeTypesInfo }
