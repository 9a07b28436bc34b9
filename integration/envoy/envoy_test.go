package envoy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/envoy"
)

func TestVersions(t *testing.T) {
	versions := envoy.Versions()
	require.GreaterOrEqual(t, len(versions), 3)
	newest := envoy.Binary{Version: versions[len(versions)-1]}
	for _, version := range versions {
		require.Regexp(t, `^1\.\d+\.\d+$`, version)
	}
	require.True(t, newest.AtLeast("1.9"), "numbers, not text: %s", newest.Version)
	require.False(t, envoy.Binary{Version: "1.39.3"}.AtLeast("1.40"))
	require.True(t, envoy.Binary{Version: "1.40.0"}.AtLeast("1.40"))
}

func TestConfigNeedsAddresses(t *testing.T) {
	_, err := envoy.Config{Service: "flaskapp", Listeners: []envoy.Listener{{Name: "in", Upstream: "flaskapp"}}}.YAML()
	require.ErrorContains(t, err, "missing port")
}

func TestTracesAreInTheOrderOfACall(t *testing.T) {
	root, middle, last := envoy.Span{Trace: "a", ID: "1"}, envoy.Span{Trace: "a", ID: "2", Parent: "1"}, envoy.Span{Trace: "a", ID: "3", Parent: "2"}
	other := envoy.Span{Trace: "b", ID: "4", Parent: "4"} // its own parent
	require.Equal(t, map[string][]envoy.Span{"a": {root, middle, last}, "b": {other}},
		envoy.Traces([]envoy.Span{last, other, middle, root}))
}
