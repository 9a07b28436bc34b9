//go:build linux

package main

import (
	"context"
	"fmt"
	"log"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// pod is a pod of the node: a network namespace, and in it a process for each
// container.
type pod struct {
	*corev1.Pod
	worker *worker
	netns  netns
	ip     string
	dir    string // of the containers' files and logs

	joined bool   // whether it knows Services; the worker's mutex guards it
	hosts  string // its hosts file; so does it

	mu         sync.Mutex // guards containers
	containers map[string]*container

	once     sync.Once
	ended    chan struct{} // closed when it is to end
	grace    time.Duration // that it has then
	reported string        // the status that the API server has
}

// run starts the pod, the n-th one.
func (w *worker) run(p *corev1.Pod, n int) *pod {
	name := p.Namespace + "." + p.Name
	r := &pod{
		Pod:        p,
		worker:     w,
		netns:      netns(prefix + name),
		ip:         fmt.Sprintf(podAddrs, 1+n/250, 1+n%250),
		dir:        filepath.Join(state, "pods", name),
		containers: map[string]*container{},
		ended:      make(chan struct{}),
	}
	go func() {
		if err := r.start(n); err != nil {
			log.Printf("pod %s: %v", name, err)
			r.report(corev1.PodPending, err.Error())
		}
		<-r.ended
		r.stop()
	}()
	return r
}

// start starts the containers in their order, and has the API server know of
// them from then on.
func (p *pod) start(n int) error {
	if err := os.RemoveAll(p.dir); err != nil { // of a pod of that name, before
		return err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil { // #nosec G301 -- containers' users find their files below it
		return err
	}
	if err := newNetns(p.netns, "pod"+strconv.Itoa(n), p.ip); err != nil {
		return err
	}
	// Nobody answers there: names are in the hosts file. istio-iptables wants
	// to know of one.
	if err := os.WriteFile(filepath.Join(p.netns.etc(), "resolv.conf"), []byte("nameserver 127.0.0.1\n"), 0o644); err != nil { // #nosec G306 -- as /etc's
		return err
	}
	if s := p.Spec.SecurityContext; s != nil {
		for _, ctl := range s.Sysctls {
			if err := sh(p.netns.command("sysctl", "-qw", ctl.Name+"="+ctl.Value)...); err != nil {
				return err
			}
		}
	}
	for _, c := range p.Spec.InitContainers {
		if err := p.init(&c); err != nil {
			return fmt.Errorf("init container %s: %w", c.Name, err)
		}
	}
	if err := p.join(); err != nil {
		return err
	}
	for _, c := range p.Spec.Containers {
		started, err := p.launch(&c)
		if err != nil {
			return fmt.Errorf("container %s: %w", c.Name, err)
		}
		go started.keep()
	}
	go p.watch()
	return nil
}

// init runs an init container: to its end, or, where it is a native sidecar,
// until it has started.
func (p *pod) init(c *corev1.Container) error {
	if sidecar(c) {
		if err := p.join(); err != nil {
			return err
		}
	}
	started, err := p.launch(c)
	if err != nil {
		return err
	}
	if !sidecar(c) {
		return started.wait()
	}
	go started.keep()
	return p.eventually("its startup probe", func() error { return p.probe(c, c.StartupProbe) })
}

// eventually waits until done returns nil, and has kubectl tell why it does not.
func (p *pod) eventually(what string, done func() error) error {
	return eventually(what, func() error {
		select {
		case <-p.ended:
			return nil // nobody waits for it any more
		default:
		}
		err := done()
		if err != nil {
			p.report(corev1.PodPending, err.Error())
		}
		return err
	})
}

// sidecar reports whether an init container keeps running.
func sidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// launch starts a container of the pod.
func (p *pod) launch(spec *corev1.Container) (*container, error) {
	c := &container{Container: spec, pod: p}
	// What its volumes are made of may come a moment after the pod.
	if err := p.eventually("container "+spec.Name, c.prepare); err != nil {
		return nil, err
	}
	if err := c.start(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.containers[spec.Name] = c
	return c, nil
}

// watch reports whether the pod is ready, for as long as it is there.
func (p *pod) watch() {
	for {
		p.report(corev1.PodRunning, "")
		select {
		case <-p.ended:
			return
		case <-time.After(2 * tick):
		}
	}
}

// end asks for the pod's end, in that many seconds at the latest.
func (p *pod) end(grace int64) {
	p.once.Do(func() {
		p.grace = time.Duration(grace) * time.Second
		close(p.ended)
	})
}

// stop ends the containers, a native sidecar after those that it serves, and
// then the pod.
func (p *pod) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), p.grace)
	defer cancel()
	for _, last := range []bool{false, true} {
		var going []*process
		for _, c := range p.containers {
			if run := c.run.Load(); sidecar(c.Container) == last {
				run.terminate()
				going = append(going, run)
			}
		}
		for _, run := range going {
			select {
			case <-run.done:
			case <-ctx.Done():
			}
		}
	}
	p.leave()
	if err := p.netns.remove(); err != nil {
		log.Printf("pod %s: %v", p.Name, err)
	}
	if err := p.worker.forget(p.Pod); err != nil {
		log.Printf("pod %s: %v", p.Name, err)
	}
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	delete(p.worker.pods, p.Namespace+"/"+p.Name)
}

// probe asks what the probe asks, nil for none, and returns nil where the
// answer is good.
func (p *pod) probe(c *corev1.Container, probe *corev1.Probe) error {
	port := func(of intstr.IntOrString) string {
		for _, named := range c.Ports {
			if of.Type == intstr.String && named.Name == of.StrVal {
				return strconv.Itoa(int(named.ContainerPort))
			}
		}
		return of.String()
	}
	if probe == nil {
		return nil
	}
	timeout := time.Duration(max(1, probe.TimeoutSeconds)) * time.Second
	switch {
	case probe.HTTPGet != nil:
		client := http.Client{Timeout: timeout}
		resp, err := client.Get("http://" + net.JoinHostPort(p.ip, port(probe.HTTPGet.Port)) + probe.HTTPGet.Path)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode >= http.StatusBadRequest {
			return fmt.Errorf("%s: %s", probe.HTTPGet.Path, resp.Status)
		}
		return nil
	case probe.TCPSocket != nil:
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(p.ip, port(probe.TCPSocket.Port)), timeout)
		if err == nil {
			_ = conn.Close()
		}
		return err
	default:
		return nil // no pod here has another
	}
}

// report has the API server know how the pod is, unless it does.
func (p *pod) report(phase corev1.PodPhase, message string) {
	p.mu.Lock()
	running := maps.Clone(p.containers)
	p.mu.Unlock()

	ready := phase == corev1.PodRunning
	statuses := func(specs []corev1.Container, readiness func(corev1.Container) *corev1.Probe) []corev1.ContainerStatus {
		var all []corev1.ContainerStatus
		for _, spec := range specs {
			s := corev1.ContainerStatus{Name: spec.Name, Image: spec.Image}
			c := running[spec.Name]
			if c == nil {
				s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "Waiting"}
				if message != "" {
					s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "Error", Message: message}
				}
			} else if run := c.run.Load(); run.running() {
				s.Started = new(true)
				s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(run.began)}
				probe := readiness(spec)
				s.Ready = c.health.heard(run, probe, p.probe(&spec, probe))
			} else {
				s.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: int32(run.code), Reason: "Ended"} // #nosec G115 -- below 256
				s.Ready = run.code == 0 && slices.ContainsFunc(p.Spec.InitContainers, func(i corev1.Container) bool { return i.Name == spec.Name })
			}
			if c != nil {
				s.RestartCount = c.restarts.Load()
			}
			ready = ready && s.Ready
			all = append(all, s)
		}
		return all
	}
	status := corev1.PodStatus{
		Phase: phase, Message: message,
		PodIP: p.ip, PodIPs: []corev1.PodIP{{IP: p.ip}},
		HostIP: nodeAddr, HostIPs: []corev1.HostIP{{IP: nodeAddr}},
		InitContainerStatuses: statuses(p.Spec.InitContainers, func(c corev1.Container) *corev1.Probe { return c.StartupProbe }),
		ContainerStatuses:     statuses(p.Spec.Containers, func(c corev1.Container) *corev1.Probe { return c.ReadinessProbe }),
	}
	condition := func(t corev1.PodConditionType, is bool) {
		c := corev1.PodCondition{Type: t, Status: corev1.ConditionFalse}
		if is {
			c.Status = corev1.ConditionTrue
		}
		status.Conditions = append(status.Conditions, c)
	}
	condition(corev1.PodScheduled, true)
	condition(corev1.PodInitialized, phase == corev1.PodRunning)
	condition(corev1.ContainersReady, ready)
	condition(corev1.PodReady, ready)
	patch := marshal(map[string]any{"metadata": map[string]any{"uid": p.UID}, "status": status})
	if p.reported == string(patch) {
		return
	}
	_, err := p.worker.cluster.CoreV1().Pods(p.Namespace).Patch(context.Background(), p.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		log.Printf("pod %s: %v", p.Name, err)
		return
	}
	p.reported = string(patch)
}
