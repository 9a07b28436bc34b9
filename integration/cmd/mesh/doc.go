// Mesh runs a small, real Istio mesh out of plain processes on one Linux
// machine: no Docker, no kubelet, no registry. See its help for what is real in
// it and what stands in.
package main

const usage = `Usage: mesh up [flags]
       mesh down

A small Istio mesh on one Linux machine, out of plain processes: no Docker, no
kubelet, no registry. It needs root, and iproute2, iptables, etcd and setpriv.

  up    starts the mesh: a cluster, Istio and the demo, each pod in a network
        namespace of its own. Then it says what to export, so that kubectl and
        istioctl in this terminal mean this cluster.
  down  ends it all, and leaves nothing behind.

From there on kubectl apply, exec, logs, port-forward and rollout do what they
do elsewhere, and so does istioctl.

Flags of up:
  -envoy PATH     the Envoy that the sidecars run (default: ENVOY, else the one
                  that make envoy fetched, else the one on PATH)
  -kubelet V      the version that the node says its kubelet has, by which Istio
                  decides what sidecars are: native ones from v1.33.0 on
                  (default: that of the API server)
  -apply DIR      the kustomization to apply (default deploy/istio); "" for none

What is real: the API server and its etcd, the controllers of Deployments,
ReplicaSets, EndpointSlices and so on, Istio's istiod with its webhooks, its
certificates and its xDS, pilot-agent, the iptables rules that lead a pod's
traffic through its sidecar, Envoy, Jaeger, and the project's manifests and
services.

What stands in, all of it in this command:
  - the scheduler: there is one node
  - the kubelet and the container runtime: a container is a process of the
    image's program, with its user, its environment and its volumes' files, in
    the file system of this machine. No limits on memory or CPU, no liveness
    probes, no volume that two containers share. An image that is none of
    Istio's, Jaeger's or the project's does not start, nor does a container that
    has a command of its own or needs a Secret
  - kube-proxy: NAT in each pod's namespace
  - the cluster's DNS: a hosts file in each pod

What is not there: Istio's own Envoy filters (its metrics, peer labels and
ALPN), because Envoy is the stock one; NetworkPolicy; a load balancer.

The exit status is 0 if all went well, 1 if something failed, and 2 if the
command was wrong.
`
