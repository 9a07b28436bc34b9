//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// container is a process that runs in place of a container: the image's program
// in the pod's namespace, with the container's user, environment and arguments.
// It runs in a folder that has the files of its volumes. There, a relative path
// is what it is in the container's own root, which is all that Istio's programs
// use; absolute ones in arguments are led there.
type container struct {
	*corev1.Container
	pod *pod

	root string
	env  map[string]string
	uid  int64
	gid  int64

	program  string
	args     []string
	run      atomic.Pointer[process] // the latest
	restarts atomic.Int32
	health   health
}

// health is what a container's probe has said of its latest process.
type health struct {
	of     *process
	ready  bool
	failed int32 // times in a row
}

// heard says whether the process is ready, now that its probe, nil for none, has
// this to say. A busy machine is late with an answer now and then, so one that
// is ready is so until as many fail in a row as the probe allows.
func (h *health) heard(of *process, probe *corev1.Probe, err error) bool {
	if h.of != of {
		*h = health{of: of}
	}
	if err == nil {
		h.ready, h.failed = true, 0
		return true
	}
	h.failed++
	if h.failed >= probe.FailureThreshold {
		h.ready = false
	}
	return h.ready
}

// process is a container as long as its program runs.
type process struct {
	*os.Process
	began time.Time
	done  chan struct{}
	code  int // how it has ended, once done is closed
}

func (c *container) logFile() string { return filepath.Join(c.pod.dir, c.Name+".log") }

// prepare finds out how the container is run, and writes its files.
func (c *container) prepare() error {
	var ok bool
	if c.program, ok = c.pod.worker.program(c.Image); !ok {
		return fmt.Errorf("no program here runs in place of the image %s", c.Image)
	}
	if len(c.Command) > 0 {
		return errors.New("what has a command of its own is not for this node")
	}
	c.root = filepath.Join(c.pod.dir, c.Name)
	c.user()
	var err error
	if c.env, err = c.environment(); err != nil {
		return err
	}
	if err := c.volumes(); err != nil {
		return err
	}
	c.args = c.arguments()
	switch filepath.Base(c.program) {
	case "jaeger":
		// In its image the program has the UI within.
		ui := filepath.Join(c.root, "ui")
		if err := os.CopyFS(ui, os.DirFS(filepath.Join(filepath.Dir(c.program), "ui"))); err != nil {
			return err
		}
		c.env["JAEGER_UI_ASSETS"] = ui
	case "pilot-agent":
		if err := c.prepareProxy(); err != nil {
			return err
		}
	case "pilot-discovery":
		// In a cluster its account's token is at an absolute path.
		c.args = append(c.args, "--kubeconfig="+kubeconfig)
	}
	return filepath.WalkDir(c.root, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, int(c.uid), int(c.gid))) // #nosec G122 -- nothing runs there yet
	})
}

// start starts the container's program.
func (c *container) start() error {
	out, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	// Envoy opens /dev/stdout again for its access log, as its own user.
	if err := out.Chown(int(c.uid), int(c.gid)); err != nil {
		return err
	}
	argv := c.command(c.program, c.args...)
	cmd := exec.Command(argv[0], argv[1:]...) // #nosec G204 -- the pod's own
	cmd.Env, cmd.Dir = c.environ(), c.root
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{Process: cmd.Process, began: time.Now(), done: make(chan struct{})}
	c.run.Store(p)
	go func() {
		_ = cmd.Wait() // the code says how it went
		p.code = cmd.ProcessState.ExitCode()
		if s := cmd.ProcessState.Sys().(syscall.WaitStatus); s.Signaled() {
			p.code = 128 + int(s.Signal()) // as a shell has it
		}
		close(p.done)
	}()
	return nil
}

// keep starts the program again whenever it has ended, until the pod is to end.
func (c *container) keep() {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		<-c.run.Load().done
		select {
		case <-c.pod.ended:
			return
		case <-time.After(wait):
		}
		c.restarts.Add(1)
		if err := c.start(); err != nil {
			log.Printf("pod %s: container %s: %v", c.pod.Name, c.Name, err)
		}
	}
}

// command is a command as the container runs it: in the pod's namespace, by the
// container's user.
func (c *container) command(name string, args ...string) []string {
	drop := []string{"--reuid", strconv.FormatInt(c.uid, 10), "--regid", strconv.FormatInt(c.gid, 10), "--clear-groups", name}
	return c.pod.netns.command("setpriv", append(drop, args...)...)
}

// wait waits for the container to end well.
func (c *container) wait() error {
	p := c.run.Load()
	select {
	case <-p.done:
	case <-c.pod.ended:
		return nil // nobody waits for it any more
	case <-time.After(patience):
		return errors.New("it does not end")
	}
	if p.code != 0 {
		text, _ := os.ReadFile(c.logFile())
		return fmt.Errorf("exit status %d: %s", p.code, text)
	}
	return nil
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// terminate asks the program to end.
func (p *process) terminate() { _ = p.Signal(syscall.SIGTERM) } // one that has ended is what we want

// user finds out who runs the container: its own security context says it, or
// the pod's, or the image.
func (c *container) user() {
	if strings.HasPrefix(c.Image, own+"/") {
		c.uid, c.gid = 65532, 65532 // of deploy/Dockerfile
	}
	set := func(id *int64, to *int64) {
		if id != nil {
			*to = *id
		}
	}
	if s := c.pod.Spec.SecurityContext; s != nil {
		set(s.RunAsUser, &c.uid)
		set(s.RunAsGroup, &c.gid)
	}
	if s := c.SecurityContext; s != nil {
		set(s.RunAsUser, &c.uid)
		set(s.RunAsGroup, &c.gid)
	}
}

// reference is $(NAME) in an argument or in the value of a variable.
var reference = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)

func expand(text string, env map[string]string) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		if value, ok := env[reference.FindStringSubmatch(ref)[1]]; ok {
			return value
		}
		return ref
	})
}

func (c *container) arguments() []string {
	var args []string
	for _, arg := range c.Args {
		arg = expand(arg, c.env)
		for _, m := range c.VolumeMounts {
			arg = strings.ReplaceAll(arg, "="+m.MountPath, "="+filepath.Join(c.root, m.MountPath))
		}
		args = append(args, arg)
	}
	return args
}

// environment is the container's, with what its image has.
func (c *container) environment() (map[string]string, error) {
	env := map[string]string{
		"PATH":     strings.Join([]string{c.pod.worker.services, c.pod.worker.istio, os.Getenv("PATH")}, ":"),
		"HOME":     "/",
		"HOSTNAME": c.pod.Name,
	}
	for _, from := range c.EnvFrom {
		if from.ConfigMapRef != nil {
			data, err := c.configMap(from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
			if err != nil {
				return nil, err
			}
			maps.Copy(env, data)
		}
	}
	for _, v := range c.Env {
		value, err := c.value(v, env)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", v.Name, err)
		}
		env[v.Name] = value
	}
	return env, nil
}

// environ is the environment as a process has it.
func (c *container) environ() []string {
	var list []string
	for name, value := range c.env {
		list = append(list, name+"="+value)
	}
	return list
}

func (c *container) value(v corev1.EnvVar, env map[string]string) (string, error) {
	switch from := v.ValueFrom; {
	case from == nil:
		return expand(v.Value, env), nil
	case from.FieldRef != nil:
		return c.field(from.FieldRef.FieldPath)
	case from.ResourceFieldRef != nil:
		limit := c.Resources.Limits[corev1.ResourceName(strings.TrimPrefix(from.ResourceFieldRef.Resource, "limits."))]
		if limit.IsZero() {
			return "2", nil
		}
		return strconv.FormatInt(limit.Value(), 10), nil
	case from.ConfigMapKeyRef != nil:
		data, err := c.configMap(from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Optional)
		return data[from.ConfigMapKeyRef.Key], err
	default:
		return "", errors.New("its source is not one that is known here")
	}
}

var keyed = regexp.MustCompile(`^metadata\.(labels|annotations)\['(.+)'\]$`)

// field is a field of the pod, as the downward API gives it.
func (c *container) field(path string) (string, error) {
	p := c.pod
	if m := keyed.FindStringSubmatch(path); m != nil {
		return map[string]map[string]string{"labels": p.Labels, "annotations": p.Annotations}[m[1]][m[2]], nil
	}
	value, ok := map[string]string{
		"metadata.name": p.Name, "metadata.namespace": p.Namespace, "metadata.uid": string(p.UID),
		"metadata.labels": lines(p.Labels), "metadata.annotations": lines(p.Annotations),
		"spec.nodeName": nodeName, "spec.serviceAccountName": p.Spec.ServiceAccountName,
		"status.podIP": p.ip, "status.podIPs": p.ip, "status.hostIP": nodeAddr, "status.hostIPs": nodeAddr,
	}[path]
	if !ok {
		return "", fmt.Errorf("the field %s is not one that is known here", path)
	}
	return value, nil
}

// lines are labels or annotations as a file of the downward API has them.
func lines(m map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s=%q\n", key, m[key])
	}
	return b.String()
}

func (c *container) configMap(name string, optional *bool) (map[string]string, error) {
	m, err := c.pod.worker.cluster.CoreV1().ConfigMaps(c.pod.Namespace).Get(context.Background(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil, nil
	}
	return m.Data, err
}

// volumes writes the files of the container's volumes below its root.
func (c *container) volumes() error {
	if err := os.RemoveAll(c.root); err != nil { // of a try before
		return err
	}
	if err := os.Mkdir(c.root, 0o750); err != nil {
		return err
	}
	for _, mount := range c.VolumeMounts {
		dir := filepath.Join(c.root, mount.MountPath)
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
		i := slices.IndexFunc(c.pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		files, err := c.files(c.pod.Spec.Volumes[i])
		if err != nil {
			return fmt.Errorf("volume %s: %w", mount.Name, err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

// files are those of a volume, none where it begins empty.
func (c *container) files(v corev1.Volume) (map[string]string, error) {
	sources := []corev1.VolumeProjection{{}}
	if v.Projected != nil {
		sources = v.Projected.Sources
	}
	if m := v.ConfigMap; m != nil {
		sources[0].ConfigMap = &corev1.ConfigMapProjection{LocalObjectReference: m.LocalObjectReference, Items: m.Items, Optional: m.Optional}
	}
	if d := v.DownwardAPI; d != nil {
		sources[0].DownwardAPI = &corev1.DownwardAPIProjection{Items: d.Items}
	}
	if v.Secret != nil && (v.Secret.Optional == nil || !*v.Secret.Optional) {
		return nil, errors.New("what needs a Secret is not for this node")
	}
	files := map[string]string{}
	for _, s := range sources {
		if m := s.ConfigMap; m != nil {
			data, err := c.configMap(m.Name, m.Optional)
			if err != nil {
				return nil, err
			}
			for _, item := range m.Items {
				files[item.Path] = data[item.Key]
			}
			if len(m.Items) == 0 {
				maps.Copy(files, data)
			}
		}
		if s.DownwardAPI != nil {
			for _, item := range s.DownwardAPI.Items {
				if item.FieldRef == nil {
					continue // of the container's resources, which have no limits here
				}
				text, err := c.field(item.FieldRef.FieldPath)
				if err != nil {
					return nil, err
				}
				files[item.Path] = text
			}
		}
		if t := s.ServiceAccountToken; t != nil {
			token, err := c.token(t)
			if err != nil {
				return nil, err
			}
			files[t.Path] = token
		}
	}
	return files, nil
}

func (c *container) token(t *corev1.ServiceAccountTokenProjection) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		// As long as a mesh may be up: nobody renews it.
		ExpirationSeconds: new(int64(24 * 60 * 60)),
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: c.pod.Name, UID: c.pod.UID},
	}}
	if t.Audience != "" {
		request.Spec.Audiences = []string{t.Audience}
	}
	request, err := c.pod.worker.cluster.CoreV1().ServiceAccounts(c.pod.Namespace).CreateToken(
		context.Background(), c.pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return request.Status.Token, nil
}

// prepareProxy gives pilot-agent what is in its image: Envoy, and the template
// of Envoy's first configuration.
func (c *container) prepareProxy() error {
	conf := map[string]any{}
	if text := c.env["PROXY_CONFIG"]; text != "" {
		if err := json.Unmarshal([]byte(text), &conf); err != nil {
			return fmt.Errorf("PROXY_CONFIG %s: %w", text, err)
		}
	}
	conf["binaryPath"] = c.pod.worker.envoy
	c.env["PROXY_CONFIG"] = string(marshal(conf))
	// Else it looks for a cloud's metadata for two seconds.
	c.env["CLOUD_PLATFORM"] = "none"
	dir := filepath.Join(c.root, "var", "lib", "istio", "envoy")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(c.pod.worker.istio, "envoy_bootstrap.json"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "envoy_bootstrap_tmpl.json"), text, 0o600) // #nosec G703 -- below its own root
}
