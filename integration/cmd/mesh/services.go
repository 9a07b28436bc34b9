//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// chain is the rules that lead from ClusterIPs to endpoints.
const chain = "SERVICES"

// routes is what pods know of Services: their names, and the rules by which a
// ClusterIP leads to a pod. A sidecar answers for ClusterIPs itself; the rules
// are for what Istio's let pass: pilot-agent, ports that are excluded, pods
// without a sidecar.
type routes struct {
	rules string
	hosts map[string]string // by namespace
}

// route has all pods know what Services there are.
func (w *worker) route() error {
	ctx := context.Background()
	services, err := w.cluster.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	endpoints, err := w.cluster.DiscoveryV1().EndpointSlices("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	now := routes{rules: rules(services.Items, endpoints.Items), hosts: map[string]string{}}
	for _, p := range w.pods {
		now.hosts[p.Namespace] = hosts(services.Items, p.Namespace)
	}
	for _, p := range w.pods {
		if !p.joined || w.routes.rules == now.rules && w.routes.hosts[p.Namespace] == now.hosts[p.Namespace] {
			continue
		}
		if err := p.route(now); err != nil {
			return fmt.Errorf("lead pod %s to Services: %w", p.Name, err)
		}
	}
	w.routes = now
	return nil
}

// hosts is the hosts file of a namespace's pods.
func hosts(services []corev1.Service, namespace string) string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n")
	for _, s := range services {
		if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone {
			continue
		}
		name := s.Name + "." + s.Namespace
		fmt.Fprintf(&b, "%s %s %s.svc %s.svc.cluster.local", s.Spec.ClusterIP, name, name, name)
		if s.Namespace == namespace {
			b.WriteString(" " + s.Name)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// rules is the chain, as iptables-restore reads it.
func rules(services []corev1.Service, endpoints []discoveryv1.EndpointSlice) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*nat\n:%s - [0:0]\n", chain)
	for _, s := range services {
		if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone {
			continue
		}
		for _, port := range s.Spec.Ports {
			to := ready(s, port, endpoints)
			for i, addr := range to {
				pick := ""
				if rest := len(to) - i; rest > 1 {
					pick = fmt.Sprintf("-m statistic --mode random --probability %.6f ", 1/float64(rest))
				}
				fmt.Fprintf(&b, "-A %s -d %s/32 -p tcp --dport %d %s-j DNAT --to-destination %s\n", chain, s.Spec.ClusterIP, port.Port, pick, addr)
			}
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// ready are the addresses at which pods answer for the Service's port.
func ready(s corev1.Service, port corev1.ServicePort, endpoints []discoveryv1.EndpointSlice) []string {
	var addrs []string
	for _, slice := range endpoints {
		if slice.Namespace != s.Namespace || slice.Labels[discoveryv1.LabelServiceName] != s.Name {
			continue
		}
		for _, p := range slice.Ports {
			if p.Port == nil || p.Name == nil || *p.Name != port.Name {
				continue
			}
			for _, e := range slice.Endpoints {
				if e.Conditions.Ready != nil && *e.Conditions.Ready {
					addrs = append(addrs, fmt.Sprintf("%s:%d", e.Addresses[0], *p.Port))
				}
			}
		}
	}
	slices.Sort(addrs)
	return addrs
}

// join has the pod know Services, from now until [pod.leave]. It is called when
// Istio's own rules are in force, which come first: they lead to the sidecar.
// Before it a connection to a ClusterIP would wait for an answer that does not
// come.
func (p *pod) join() error {
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	if p.joined {
		return nil
	}
	p.joined = true
	return errors.Join(p.route(p.worker.routes), sh(p.netns.command("iptables", "-t", "nat", "-A", "OUTPUT", "-j", chain)...))
}

func (p *pod) leave() {
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	p.joined = false
}

// route has the pod know the routes.
func (p *pod) route(r routes) error {
	// It writes over the file, which containers have in place of /etc/hosts:
	// another one of that name they would not see.
	hosts := r.hosts[p.Namespace]
	if hosts != p.hosts {
		if err := os.WriteFile(filepath.Join(p.netns.etc(), "hosts"), []byte(hosts), 0o644); err != nil { // #nosec G306 -- all users of the pod read it
			return err
		}
		p.hosts = hosts
	}
	_, err := shOutput(r.rules, p.netns.command("iptables-restore", "--noflush")...)
	return err
}
