//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	nodeVerb  = "node"
	nodeName  = "node"
	nodeReady = "ready"
)

// worker is the cluster's one node: it runs etcd, the API server and the
// controllers, and stands in for the scheduler, the kubelet, kube-proxy and the
// DNS.
type worker struct {
	*config
	ca      *authority
	cluster kubernetes.Interface

	mu     sync.Mutex
	pods   map[string]*pod // by namespace/name
	made   int             // pods so far: each has an address that no other had
	routes routes
}

// A thread that has been in the namespace of a pod ends with its goroutine, which
// the main thread cannot: it is main's.
func init() { runtime.LockOSThread() }

// node is what up starts in the node's namespace. It does not return unless
// something fails.
func node(c *config) error {
	if _, err := os.Stat(mounts[0]); err != nil {
		return fmt.Errorf("%w: only up starts the node", err)
	}
	c.services, c.istio, c.jaeger, c.envoy = mounts[0], mounts[1], mounts[2], mounts[3]
	w := &worker{config: c, pods: map[string]*pod{}}
	for _, step := range []func() error{w.startCluster, w.register, w.serveKubelet} {
		if err := step(); err != nil {
			return err
		}
	}
	_, _ = fmt.Fprintln(os.Stdout, nodeReady)
	_ = os.Stdout.Close()
	for ; ; time.Sleep(tick) {
		if err := w.reconcile(); err != nil {
			log.Print(err) // and again in a moment
		}
	}
}

func (w *worker) startCluster() error {
	dir := filepath.Join(state, "pki")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var err error
	if w.ca, err = newAuthority(dir); err != nil {
		return err
	}
	for name, cert := range map[string]struct{ name, group string }{
		"apiserver": {"kube-apiserver", ""},
		"admin":     {"admin", "system:masters"},
		"kubelet":   {"kubelet", ""},
	} {
		if _, err := w.ca.issue(name, certificate(cert.name, cert.group, nodeAddr, apiService)); err != nil {
			return err
		}
	}
	if err := w.writeKubeconfig(); err != nil {
		return err
	}

	if err := w.daemon("etcd",
		"--data-dir="+filepath.Join(state, "etcd"), "--unsafe-no-fsync", "--log-level=error",
		"--listen-client-urls=http://"+etcd, "--advertise-client-urls=http://"+etcd,
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380"); err != nil {
		return err
	}
	cert, key := w.ca.file("apiserver.crt"), w.ca.file("apiserver.key")
	if err := w.daemon(filepath.Join(w.istio, "kube-apiserver"),
		"--etcd-servers=http://"+etcd, "--bind-address="+nodeAddr, "--advertise-address="+nodeAddr,
		"--tls-cert-file="+cert, "--tls-private-key-file="+key,
		"--client-ca-file="+w.ca.file("ca.crt"), "--kubelet-client-certificate="+cert, "--kubelet-client-key="+key,
		"--kubelet-certificate-authority="+w.ca.file("ca.crt"),
		"--service-account-key-file="+key, "--service-account-signing-key-file="+key,
		"--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=RBAC",
		"--service-cluster-ip-range="+services, "--allow-privileged=true",
		// Webhooks are called at their endpoints: no kube-proxy is here to
		// lead the API server to a ClusterIP.
		"--enable-aggregator-routing=true"); err != nil {
		return err
	}
	rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	rest.QPS = -1 // no limit
	if w.cluster, err = kubernetes.NewForConfig(rest); err != nil {
		return err
	}
	err = eventually("the API server", func() error {
		_, err := w.cluster.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background())
		return err
	})
	if err != nil {
		return err
	}
	return w.daemon(filepath.Join(w.istio, "kube-controller-manager"),
		"--kubeconfig="+kubeconfig, "--leader-elect=false", "--bind-address="+nodeAddr, "--cert-dir="+w.ca.dir,
		"--service-account-private-key-file="+key, "--root-ca-file="+w.ca.file("ca.crt"),
		// Not those that watch nodes: this one has no heartbeat.
		"--controllers=deployment-controller,replicaset-controller,endpointslice-controller,serviceaccount-controller,"+
			"namespace-controller,garbage-collector-controller,root-ca-certificate-publisher-controller,"+
			"horizontal-pod-autoscaler-controller,disruption-controller")
}

// daemon starts a program of the cluster.
func (w *worker) daemon(path string, args ...string) error {
	out, err := os.Create(filepath.Join(state, filepath.Base(path)+".log"))
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(path, args...) // #nosec G204 -- the mesh's own
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { log.Fatalf("%s has ended: %v", path, cmd.Wait()) }()
	return nil
}

// writeKubeconfig writes the administrator's, which belongs to the user that
// has called sudo.
func (w *worker) writeKubeconfig() error {
	files := map[string][]byte{}
	for _, name := range []string{"ca.crt", "admin.crt", "admin.key"} {
		text, err := os.ReadFile(w.ca.file(name))
		if err != nil {
			return err
		}
		files[name] = text
	}
	dir := filepath.Dir(kubeconfig)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	const name = "tracebaton-mesh"
	if err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: "https://" + apiServer, CertificateAuthorityData: files["ca.crt"]}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {ClientCertificateData: files["admin.crt"], ClientKeyData: files["admin.key"]}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, kubeconfig); err != nil {
		return err
	}
	var uid, gid int
	if n, _ := fmt.Sscan(os.Getenv("SUDO_UID")+" "+os.Getenv("SUDO_GID"), &uid, &gid); n != 2 {
		return nil
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		return err
	}
	return os.Chown(kubeconfig, uid, gid)
}

// register tells the cluster of its node.
func (w *worker) register() error {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: map[string]string{corev1.LabelHostname: nodeName}}}
	n, err := w.cluster.CoreV1().Nodes().Create(context.Background(), n, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeAddr}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Mesh"}}
	n.Status.DaemonEndpoints.KubeletEndpoint.Port = 10250
	if w.kubelet == "" {
		v, err := w.cluster.Discovery().ServerVersion()
		if err != nil {
			return err
		}
		w.kubelet = v.GitVersion
	}
	n.Status.NodeInfo = corev1.NodeSystemInfo{KubeletVersion: w.kubelet, OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH}
	_, err = w.cluster.CoreV1().Nodes().UpdateStatus(context.Background(), n, metav1.UpdateOptions{})
	return err
}

// reconcile does what is to be done for pods that are new, or are to go, and
// for Services that have changed.
func (w *worker) reconcile() error {
	ctx := context.Background()
	list, err := w.cluster.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	there := map[types.UID]bool{}
	for i := range list.Items {
		there[list.Items[i].UID] = true
	}
	for _, known := range w.pods {
		if !there[known.UID] { // deleted by force
			known.end(0)
		}
	}
	for i := range list.Items {
		p := &list.Items[i]
		known := w.pods[p.Namespace+"/"+p.Name]
		switch {
		case known != nil && known.UID == p.UID:
			if p.DeletionTimestamp != nil {
				known.end(*p.DeletionGracePeriodSeconds)
			}
		case known != nil: // the next of its name, once this one is gone
		case p.DeletionTimestamp != nil:
			err = errors.Join(err, w.forget(p))
		case p.Spec.NodeName == "":
			err = errors.Join(err, w.cluster.CoreV1().Pods(p.Namespace).Bind(ctx, &corev1.Binding{
				ObjectMeta: metav1.ObjectMeta{Name: p.Name, UID: p.UID},
				Target:     corev1.ObjectReference{Kind: "Node", Name: nodeName},
			}, metav1.CreateOptions{}))
		default:
			w.made++
			w.pods[p.Namespace+"/"+p.Name] = w.run(p, w.made)
		}
	}
	return errors.Join(err, w.route())
}

// forget tells the API server that the pod is gone, unless it knows.
func (w *worker) forget(p *corev1.Pod) error {
	err := w.cluster.CoreV1().Pods(p.Namespace).Delete(context.Background(), p.Name,
		metav1.DeleteOptions{GracePeriodSeconds: new(int64(0)), Preconditions: &metav1.Preconditions{UID: &p.UID}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // another of its name
		return nil
	}
	return err
}
