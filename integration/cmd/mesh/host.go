//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// clearUp removes all that a mesh whose processes have ended has left on this
// machine.
func clearUp() error {
	etc, err := filepath.Glob("/etc/netns/" + prefix + "*")
	if err != nil {
		return err
	}
	for _, dir := range etc {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := lower(); err != nil {
		return err
	}
	// What is mounted there is not the mesh's to remove.
	for _, at := range mounts {
		for {
			err := unix.Unmount(at, 0)
			if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
				break // nothing is
			}
			if err != nil {
				return fmt.Errorf("unmount %s: %w", at, err)
			}
		}
	}
	return os.RemoveAll(state)
}

// mounts is where the programs are: below state every user can run them, as
// nobody but their owner may below a home folder.
var mounts = []string{state + "/services", state + "/istio", state + "/jaeger", state + "/envoy"}

// mount mounts the programs where the node finds them.
func (c *config) mount() error {
	for i, from := range []string{c.services, c.istio, c.jaeger, c.envoy} {
		if err := bind(from, mounts[i]); err != nil {
			return fmt.Errorf("mount %s: %w", from, err)
		}
	}
	return nil
}

// bind has the file or folder be seen at another place, and not be written to
// there.
func bind(from, at string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.Mkdir(at, 0o755) // #nosec G301 -- see mounts
	} else {
		err = os.WriteFile(at, nil, 0o600)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(from, at, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

const (
	watchers = "fs.inotify.max_user_instances"
	enough   = 1024
	before   = state + "/" + watchers
)

// raise has the system allow what the sidecars of several versions of all pods
// watch, which run as one user: some systems allow no more than 128.
func raise() error {
	text, err := shOutput("", "sysctl", "-n", watchers)
	if n, _ := strconv.Atoi(strings.TrimSpace(text)); err != nil || n >= enough {
		return err
	}
	if sh("sysctl", "-qw", fmt.Sprintf("%s=%d", watchers, enough)) != nil {
		return nil // it may not be changed here: sidecars that fail for it are started again
	}
	return os.WriteFile(before, []byte(text), 0o600)
}

// lower undoes what raise did.
func lower() error {
	text, err := os.ReadFile(before)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return sh("sysctl", "-qw", watchers+"="+strings.TrimSpace(string(text)))
}
