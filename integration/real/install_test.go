package real_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what must come. Only one that fails
// waits for all of it, so it is enough for a machine with much else to do.
const patience = 5 * time.Minute

// need skips the test where a program is not there, and fails it in CI.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		missing := fmt.Sprintf("there is no %s on PATH, which runs this service", program)
		require.Empty(t, os.Getenv("CI"), missing)
		t.Skip(missing)
	}
}

// packages are what a service needs, installed by its language's own client from
// a file that pins every version.
type packages struct {
	name    string
	lock    []string                    // files below testdata
	install func(dir string) [][]string // commands that install into dir
	once    sync.Once
	dir     string
	err     error
}

var (
	python = &packages{name: "python", lock: []string{"python/requirements.txt"}, install: func(dir string) [][]string {
		return [][]string{
			{"python3", "-m", "venv", dir},
			{filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--no-deps", "--require-hashes", "-r", "testdata/python/requirements.txt"},
		}
	}}
	node = &packages{name: "node", lock: []string{"node/package.json", "node/package-lock.json"}, install: func(dir string) [][]string {
		return [][]string{
			{"cp", "testdata/node/package.json", "testdata/node/package-lock.json", dir},
			{"npm", "ci", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund"},
		}
	}}
)

// in installs the packages if that has not been done for these versions, and
// returns the folder that they are in.
func (p *packages) in(t *testing.T) string {
	t.Helper()
	p.once.Do(func() { p.dir, p.err = p.make() })
	require.NoError(t, p.err)
	return p.dir
}

func (p *packages) make() (string, error) {
	hash := sha256.New()
	for _, file := range p.lock {
		b, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			return "", err
		}
		hash.Write(b)
	}
	dir, err := filepath.Abs(filepath.Join(".cache", fmt.Sprintf("%s-%.6x", p.name, hash.Sum(nil))))
	if err != nil {
		return "", err
	}
	done := filepath.Join(dir, ".installed")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	old, err := filepath.Glob(filepath.Join(filepath.Dir(dir), p.name+"-*"))
	if err != nil {
		return "", err
	}
	for _, o := range old { // other versions, or one that was not finished
		if err := os.RemoveAll(o); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	for _, args := range p.install(dir) {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil { // #nosec G204 -- the commands above
			return "", fmt.Errorf("install what the service needs: %v: %w\n%s", args, err, out)
		}
	}
	return dir, os.WriteFile(done, nil, 0o600)
}
