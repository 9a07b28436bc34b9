package golangci_test

import (
	"strings"
	"testing"

	"github.com/tracebaton/tracebaton/relayvet"
	"github.com/tracebaton/tracebaton/relayvet/golangci"
)

func TestSettingsAreSwitches(t *testing.T) {
	t.Cleanup(func() { _ = relayvet.Analyzer.Flags.Set("late", "false") })
	for _, row := range []struct {
		name     string
		settings any
		err      string
	}{
		{"none leave the switches as they are", nil, ""},
		{"a switch by its name", map[string]any{"late": true}, ""},
		{"a switch that there is not", map[string]any{"sooner": true}, "set relayvet's switch sooner"},
		{"what is no switch", map[string]any{"late": "perhaps"}, "read relayvet's settings"},
	} {
		t.Run(row.name, func(t *testing.T) {
			plugin, err := golangci.New(row.settings)
			switch {
			case row.err != "":
				if err == nil || !strings.Contains(err.Error(), row.err) {
					t.Errorf("got the error %v, want %q", err, row.err)
				}
			case err != nil:
				t.Error(err)
			default:
				if as, err := plugin.BuildAnalyzers(); err != nil || len(as) != 1 {
					t.Errorf("got %v, %v", as, err)
				}
			}
		})
	}
	if relayvet.Analyzer.Flags.Lookup("late").Value.String() != "true" {
		t.Error("late is still off")
	}
}
