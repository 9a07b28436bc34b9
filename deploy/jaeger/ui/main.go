// Command ui writes the files of the Jaeger UI into a folder, for a Jaeger
// that was built without them:
//
//	go run ./ui bin/ui
//	JAEGER_UI_ASSETS=bin/ui bin/jaeger --config config.yaml
//
// The Go module of Jaeger has no UI in it: its releases take one from another
// repository and put it into the official image.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"

	jaegerui "github.com/tonistiigi/jaeger-ui-rest"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ui:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("want one argument: the folder to write the UI's files into")
	}
	if err := os.MkdirAll(args[0], 0o750); err != nil { // #nosec G703 -- the caller's own folder
		return err
	}
	dir, err := os.OpenRoot(args[0])
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return export(jaegerui.FS(jaegerui.Config{}), dir, ".")
}

// export copies name, a file or a folder with all that is in it.
func export(src http.FileSystem, dst *os.Root, name string) error {
	f, err := src.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.IsDir() {
		data, err := io.ReadAll(f)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if name == "index.html" {
			if data, err = restore(data); err != nil {
				return err
			}
		}
		return dst.WriteFile(name, data, 0o644)
	}
	if err := dst.MkdirAll(name, 0o750); err != nil {
		return err
	}
	entries, err := f.Readdir(-1)
	if err != nil {
		return fmt.Errorf("list %s: %w", name, err)
	}
	for _, e := range entries {
		if err := export(src, dst, path.Join(name, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// restore puts back the line of index.html that Jaeger's query service replaces
// with the configuration of its UI. The module has put its own there, which
// hides the dependency graph.
func restore(index []byte) ([]byte, error) {
	const before, after = "const JAEGER_CONFIG = ", ";"
	injected, err := json.Marshal(jaegerui.Config{})
	if err != nil {
		return nil, err
	}
	line := []byte(before + string(injected) + after)
	if !bytes.Contains(index, line) {
		return nil, errors.New("index.html has another configuration than this version of the UI's module writes")
	}
	return bytes.Replace(index, line, []byte(before+"DEFAULT_CONFIG"+after), 1), nil
}
