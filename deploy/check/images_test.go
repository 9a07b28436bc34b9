package check_test

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestImages builds every image with buildah, which needs no engine, and runs
// it. Where no registry can be reached the golang image is made of what is
// there, and modules come from the cache of this machine.
func TestImages(t *testing.T) {
	busybox, path := need(t, "busybox"), need(t, "buildah")
	if os.Geteuid() != 0 {
		// Root of a user namespace is root enough.
		out, err := exec.Command(path, "unshare", os.Args[0], "-test.run", "^TestImages$", "-test.v").CombinedOutput()
		require.NoError(t, err, "%s", out)
		return
	}
	buildah := newBuildah(t, path)
	buildah.run(t, "bud", "-f", "testdata/images/golang.Dockerfile", "-t", "localhost/golang:1.26", golang(t, busybox))
	goroot, proxy := goenv(t, "GOROOT"), modules(t)
	bud := func(service, image string, args ...string) []string {
		return append([]string{
			"bud", "--pull-never", "-f", "../Dockerfile", "-t", image,
			"--ignorefile", "../Dockerfile.dockerignore", // which Docker finds by its name
			"--build-arg", "SERVICE=" + service, "--build-arg", "GOPROXY=file:///proxy",
			"--volume", goroot + ":/usr/local/go:ro", "--volume", proxy + ":/proxy:ro",
		}, append(args, "../..")...)
	}

	for _, tt := range []struct{ service, path, answer string }{
		{"flaskapp", "/", "I am FINE!"},
		{"sleep", "/healthz", "ok"},
		{"httpbin", "/status/418", "teapot"},
	} {
		t.Run(tt.service, func(t *testing.T) {
			image := "localhost/tracebaton/" + tt.service + ":dev"
			buildah.run(t, bud(tt.service, image)...)
			buildah.check(t, image, tt.service, tt.path, tt.answer)
		})
	}

	t.Run("a release brings the binaries", func(t *testing.T) {
		dir, image := t.TempDir(), "localhost/tracebaton/flaskapp:release"
		platform := filepath.Join(dir, "linux", runtime.GOARCH)
		require.NoError(t, os.MkdirAll(platform, 0o755))
		_, root := buildah.from(t, "localhost/tracebaton/flaskapp:dev")
		for _, binary := range []string{"flaskapp", "healthcheck"} {
			require.NoError(t, exec.Command("cp", filepath.Join(root, "usr/local/bin", binary), platform).Run())
		}
		buildah.run(t, "bud", "--pull-never", "-f", "../release.Dockerfile", "-t", image, "--build-arg", "BINARY=flaskapp", dir)
		buildah.check(t, image, "flaskapp", "/", "I am FINE!")
	})

	for _, tt := range []struct{ name, service, arch, want string }{
		{"a service that is not there fails the build", "demo", "amd64", "set --build-arg SERVICE="},
		{"the compiler is told whom to build for", "sleep", "z80", "unsupported GOOS/GOARCH pair linux/z80"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := bud(tt.service, "localhost/tracebaton/broken:dev", "--build-arg", "TARGETARCH="+tt.arch)
			out, err := buildah.command(t, args...).CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(out), tt.want)
		})
	}
}

// need returns where a command is, or skips the test, and fails it in CI.
func need(t *testing.T, command string) string {
	t.Helper()
	path, err := exec.LookPath(command)
	if err != nil {
		what := command + " is not installed: apt-get install buildah busybox-static"
		if os.Getenv("CI") != "" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	return path
}

// golang returns the root of an image that has a shell and CA certificates. Go
// itself is big, and mounted.
func golang(t *testing.T, busybox string) string {
	t.Helper()
	root := t.TempDir()
	for file, to := range map[string]string{
		busybox:                              "bin/busybox",
		"/etc/ssl/certs/ca-certificates.crt": "etc/ssl/certs/ca-certificates.crt",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, to)), 0o755))
		require.NoError(t, exec.Command("cp", "-L", file, filepath.Join(root, to)).Run())
	}
	for _, applet := range []string{"sh", "mkdir", "ln", "cp"} {
		require.NoError(t, os.Symlink("busybox", filepath.Join(root, "bin", applet)))
	}
	require.NoError(t, os.Mkdir(filepath.Join(root, "tmp"), 0o777))
	return root
}

// modules returns the folder in which the modules that the services are built
// from have been downloaded.
func modules(t *testing.T) string {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "./flaskapp", "./sleep", "./httpbin")
	list.Dir, list.Env = "../../examples", append(os.Environ(), "GOWORK=off")
	out, err := list.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return filepath.Join(goenv(t, "GOMODCACHE"), "cache", "download")
}

func goenv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// checkFiles checks what is in an image: no shell, no library, and all that
// the service needs.
func checkFiles(t *testing.T, root, service string) {
	t.Helper()
	var files []string
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, root))
		}
		return err
	}))
	require.ElementsMatch(t, []string{
		"/etc/group", "/etc/passwd", "/etc/ssl/certs/ca-certificates.crt",
		"/usr/local/bin/healthcheck", "/usr/local/bin/service", "/usr/local/bin/" + service,
	}, files)
	certificates, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
	require.NoError(t, err)
	require.Contains(t, string(certificates), "BEGIN CERTIFICATE")
	binary, err := os.ReadFile(filepath.Join(root, "usr/local/bin", service))
	require.NoError(t, err)
	require.True(t, bytes.Contains(binary, []byte("Europe/Berlin")), "the binary has no time zones")
	file, err := elf.NewFile(bytes.NewReader(binary))
	require.NoError(t, err)
	libraries, err := file.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries)
}

// buildah keeps its images in a folder of its own.
type buildah struct{ path, dir string }

func newBuildah(t *testing.T, path string) buildah {
	t.Helper()
	b := buildah{path: path, dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(b.dir, "policy.json"), []byte(`{"default": [{"type": "insecureAcceptAnything"}]}`), 0o600))
	t.Cleanup(func() { b.run(t, "rm", "--all") })
	return b
}

func (b buildah) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	all := []string{
		"--storage-driver", "vfs",
		"--root", filepath.Join(b.dir, "root"), "--runroot", filepath.Join(b.dir, "run"), args[0],
	}
	switch args[0] {
	case "bud":
		all = append(all, "--isolation", "chroot", "--signature-policy", filepath.Join(b.dir, "policy.json"))
	case "from":
		all = append(all, "--signature-policy", filepath.Join(b.dir, "policy.json"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, b.path, append(all, args[1:]...)...)
	// Where the caches of the Dockerfile are kept, too.
	cmd.Env = append(os.Environ(), "TMPDIR="+b.dir)
	return cmd
}

// run returns what a command prints to standard output.
func (b buildah) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := b.command(t, args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	require.NoError(t, cmd.Run(), "buildah %s: %s%s", strings.Join(args, " "), &out, &stderr)
	return out.String()
}

// from makes a container of an image, and returns where its files are, too.
func (b buildah) from(t *testing.T, image string) (container, root string) {
	t.Helper()
	container = strings.TrimSpace(b.run(t, "from", "--pull-never", image))
	return container, strings.TrimSpace(b.run(t, "mount", container))
}

// check checks what is in an image, and that its service answers.
func (b buildah) check(t *testing.T, image, service, path, answer string) {
	t.Helper()
	container, root := b.from(t, image)
	require.Equal(t, "65532:65532", strings.TrimSpace(b.run(t, "inspect", "--format", "{{.OCIv1.Config.User}}", container)))
	checkFiles(t, root, service)

	s := b.start(t, container)
	require.Equal(t, "ok", get(t, s.url+"/healthz"))
	require.Equal(t, "ok", get(t, s.url+"/readyz"))
	require.Contains(t, get(t, s.url+path), answer)
	b.run(t, "run", "--isolation", "chroot", container, "--", "healthcheck", s.url+"/readyz")
	require.Equal(t, []string{"65532", "65532", "65532", "65532"}, s.users(t))
	s.stop(t)
}

// service is one that runs in a container.
type service struct {
	cmd *exec.Cmd
	log *bytes.Buffer // to be read when the service has ended
	url string
}

// start runs the image's own command.
func (b buildah) start(t *testing.T, container string) service {
	t.Helper()
	entrypoint := strings.TrimSpace(b.run(t, "inspect", "--format", "{{index .OCIv1.Config.Entrypoint 0}}", container))
	s := service{
		cmd: b.command(t, "run", "--isolation", "chroot", "--env", "ADDR=127.0.0.1:0", "--env", "OTEL_TRACES_EXPORTER=none", container, "--", entrypoint),
		log: new(bytes.Buffer),
	}
	r, w, err := os.Pipe()
	require.NoError(t, err)
	s.cmd.Stdout, s.cmd.Stderr = w, w
	require.NoError(t, s.cmd.Start())
	require.NoError(t, w.Close())
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		_ = r.Close()
	})
	lines := bufio.NewScanner(io.TeeReader(r, s.log))
	for lines.Scan() {
		var line struct{ Msg, Addr string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			s.url = "http://" + line.Addr
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return s
		}
	}
	t.Fatalf("the service does not say where it listens: %s", s.log)
	return s
}

// process returns the ID of the service's process, a descendant of buildah's.
func (s service) process(t *testing.T) int {
	t.Helper()
	queue := []int{s.cmd.Process.Pid}
	for len(queue) > 0 {
		pid := queue[0]
		queue = queue[1:]
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.HasPrefix(string(command), "/usr/local/bin/service\x00") {
			return pid
		}
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
		require.NoError(t, err)
		for _, task := range tasks {
			children, _ := os.ReadFile(task)
			for _, child := range strings.Fields(string(children)) {
				id, err := strconv.Atoi(child)
				require.NoError(t, err)
				queue = append(queue, id)
			}
		}
	}
	t.Fatal("the service does not run")
	return 0
}

// users returns the user IDs that the service has: real, effective, saved and
// of the file system.
func (s service) users(t *testing.T) []string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process(t)))
	require.NoError(t, err)
	_, ids, _ := strings.Cut(string(status), "\nUid:")
	ids, _, _ = strings.Cut(ids, "\n")
	return strings.Fields(ids)
}

// stop asks the service to end, as a cluster does.
func (s service) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, syscall.Kill(s.process(t), syscall.SIGTERM))
	require.NoError(t, s.cmd.Wait())
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}
