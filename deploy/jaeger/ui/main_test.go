package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestJaegerFindsWhatItReplacesInTheIndex(t *testing.T) {
	index := read(t, write(t), "index.html")
	// As in Jaeger's cmd/query/app/static_handler.go.
	for _, line := range []string{
		`JAEGER_CONFIG *= *DEFAULT_CONFIG;`,
		`(?im)^\s*//\s*JAEGER_CONFIG_JS.*\n.*`,
		`JAEGER_VERSION *= *DEFAULT_VERSION;`,
		`JAEGER_STORAGE_CAPABILITIES *= *DEFAULT_STORAGE_CAPABILITIES;`,
		`<base href="/"`,
	} {
		if !regexp.MustCompile(line).Match(index) {
			t.Errorf("index.html has no %s", line)
		}
	}
}

func TestEveryFileThatTheIndexNamesIsThereAndPlain(t *testing.T) {
	dir := write(t)
	// Its nomodule scripts are for browsers of before 2018, and left out.
	names := regexp.MustCompile(`(?:type="module" crossorigin src|href)="\./([^"]+)"`).FindAllSubmatch(read(t, dir, "index.html"), -1)
	if len(names) < 3 {
		t.Fatalf("index.html names %d files", len(names))
	}
	for _, name := range names {
		if data := read(t, dir, string(name[1])); len(data) == 0 || bytes.HasPrefix(data, []byte("\x1f\x8b")) {
			t.Errorf("%s is empty or compressed", name[1])
		}
	}
}

func TestAnIndexThatIsNotAsExpectedIsAnError(t *testing.T) {
	if _, err := restore([]byte("const JAEGER_CONFIG = {};")); err == nil {
		t.Fatal("the UI would be written without its dependency graph")
	}
}

func TestOneFolderIsWanted(t *testing.T) {
	for _, args := range [][]string{nil, {"a", "b"}} {
		if err := run(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

func write(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "ui")
	if err := run([]string{dir}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name)) // #nosec G304 -- written by the test
	if err != nil {
		t.Fatal(err)
	}
	return data
}
