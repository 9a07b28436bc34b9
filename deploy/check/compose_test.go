package check_test

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

func compose(file string) (*types.Project, error) {
	options, err := cli.NewProjectOptions([]string{file}, cli.WithResolvedPaths(true))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context.Background())
}

func TestCompose(t *testing.T) {
	project, err := compose("../compose.yaml")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"jaeger", "flaskapp", "httpbin", "sleep", "flaskapp-envoy", "httpbin-envoy", "sleep-envoy"}, project.ServiceNames())

	// What a service calls by name in its own network is its Envoy.
	for name, calls := range map[string]string{"sleep": "flaskapp", "flaskapp": "httpbin"} {
		require.Equal(t, []string{calls}, project.Services[name+"-envoy"].Networks[name].Aliases)
	}

	for name, s := range project.Services {
		t.Run(name, func(t *testing.T) {
			require.NotNil(t, s.HealthCheck)
			require.NotEmpty(t, s.HealthCheck.Test)
			require.True(t, s.ReadOnly)
			require.Equal(t, []string{"ALL"}, s.CapDrop)
			require.Contains(t, s.SecurityOpt, "no-new-privileges:true")
			for dependency, d := range s.DependsOn {
				require.Equal(t, types.ServiceConditionHealthy, d.Condition, dependency)
			}
			for _, p := range s.Ports {
				require.Equal(t, "127.0.0.1", p.HostIP, "what nobody has to log in to is for this machine alone")
			}
			for _, v := range s.Volumes {
				require.FileExists(t, v.Source)
				require.True(t, v.ReadOnly)
			}
			if name == "jaeger" {
				return
			}
			if pod, ok := strings.CutSuffix(name, "-envoy"); ok {
				require.Contains(t, s.Networks, pod, "it stands between its service and the others")
				require.Contains(t, s.Networks, "mesh")
				return
			}
			require.Equal(t, []string{name}, slices.Collect(maps.Keys(s.Networks)), "no way past its Envoy")
			require.Equal(t, "localhost/tracebaton/"+name+":dev", s.Image)
			require.FileExists(t, filepath.Join(s.Build.Context, s.Build.Dockerfile))
			require.Equal(t, name, *s.Build.Args["SERVICE"])
			require.Equal(t, "none", *s.Environment["OTEL_TRACES_EXPORTER"])
			require.Equal(t, []string{"CMD", "healthcheck"}, []string(s.HealthCheck.Test[:2]))
		})
	}
}

func TestBrokenComposeFilesAreCaught(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"testdata/compose/unknown-field.yaml", "healthchecks"},
		{"testdata/compose/unknown-dependency.yaml", "jager"},
		{"testdata/compose/wrong-duration.yaml", "interval"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			_, err := compose(tt.file)
			require.ErrorContains(t, err, tt.want)
		})
	}
}
