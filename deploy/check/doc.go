// Package check has no code: its tests are what checks the manifests, the
// images and the compose file of deploy/, without a cluster or a container
// engine.
//
//	cd deploy/check
//	GOWORK=off go test ./...                  # all of it
//	GOWORK=off go test -run TestManifests .   # every overlay, zero findings
//	GOWORK=off go test -run TestBroken .      # what is broken is caught
//	GOWORK=off go test -run TestImages .      # needs buildah and busybox-static (Debian's names)
//	GOWORK=off go tool istioctl version --remote=false
//	bash cluster.sh                           # what only a cluster can tell, in kubectl's
//
// Kustomize, the validation of Kubernetes' API server, its Pod Security
// Standards, Istio's schemas, istioctl and istiod run inside the test binary,
// at the versions of go.mod. A cold build takes minutes, most of them Istio's.
package check
