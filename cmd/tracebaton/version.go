package main

import (
	"context"
	"fmt"
	"runtime/debug"
)

func runVersion(_ context.Context, args []string, e env) int {
	if len(args) > 0 {
		_, _ = fmt.Fprintf(e.stderr, "tracebaton version: %q is too much; it takes no argument\n", args[0])
		return statusUnknown
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	_, _ = fmt.Fprint(e.stdout, version(info))
	return statusWhole
}

// version says what the command was built from.
func version(info *debug.BuildInfo) string {
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "of a working copy"
	}
	text := "tracebaton " + v + "\n"
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if r := settings["vcs.revision"]; r != "" {
		if text += "revision " + r; settings["vcs.modified"] == "true" {
			text += ", and changes that are in none"
		}
		text += "\n"
	}
	return text + "built with " + info.GoVersion + "\n"
}
