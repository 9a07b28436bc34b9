#!/bin/bash
# Checks in the cluster of kubectl's context, where Istio is installed and deploy/istio
# applied as docs/walkthrough.md has it, what no check without a cluster can:
#
#   bash deploy/check/cluster.sh
#
# It calls flaskapp from sleep and looks for the traces in Jaeger. It needs kubectl,
# curl and jq, and changes nothing.
#
# EXEC runs a command in a pod (kubectl exec -n tracebaton). JAEGER is where Jaeger
# is (forwarded from the cluster to a port of this machine). STOCK_ENVOY=1 leaves out
# what only Istio's own build of Envoy has. ENVOY is the version that the sidecars
# must be (1.39).
set -euo pipefail

namespace=tracebaton
read -ra exec <<<"${EXEC:-kubectl exec -n $namespace}"
run=$(date +%s)-$$
started=${run%-*}
envoy=${ENVOY:-1.39}

main() {
	if [ -z "${JAEGER:-}" ]; then
		kubectl port-forward -n "$namespace" service/jaeger 26686:16686 >/dev/null &
		forward=$!
		trap 'kill "$forward"' EXIT
		JAEGER=http://localhost:26686
	fi
	within 60 "Jaeger answers at $JAEGER" curl -sSf -o /dev/null "$JAEGER/"

	within 300 "all pods are ready, and the services' have a sidecar" pods_are_ready
	check "the sidecars are Envoy $envoy" is_envoy

	call fetch
	call fetch_with_trace
	within 60 "/fetch is two traces of two spans" is_traces fetch '[2,2]'
	within 60 "/fetch_with_trace is one trace of four spans" is_traces fetch_with_trace '[4]'
	check "each of them is the child of the one before" is_chain fetch_with_trace

	if [ -z "${STOCK_ENVOY:-}" ]; then
		within 30 "the sidecars count istio_requests_total" counts_requests
	fi
}

pods_are_ready() {
	kubectl get pods -n "$namespace" --no-headers | awk '
		{ want = $1 ~ /^jaeger-/ ? "1/1" : "2/2" }
		$2 != want { print "not " want ": " $0; bad = 1 }
		{ sub(/-[^-]*-[^-]*$/, "", $1); seen[$1] = 1 }
		END {
			n = split("flaskapp-v1 flaskapp-v2 sleep-v1 sleep-v2 httpbin jaeger", names)
			for (i = 1; i <= n; i++) if (!(names[i] in seen)) { print "no pod of " names[i]; bad = 1 }
			exit bad
		}'
}

is_envoy() {
	local version
	version=$(admin server_info | jq -r .version)
	echo "$version"
	[[ $version == */"$envoy".* ]]
}

counts_requests() { admin stats/prometheus | grep -m 1 '^istio_requests_total{'; }

admin() { "${exec[@]}" deploy/sleep-v1 -c istio-proxy -- pilot-agent request GET "$1"; }

# call makes one call, which the spans name in http.url.
call() {
	"${exec[@]}" deploy/sleep-v1 -c sleep -- sleep fetch "http://flaskapp/$1?url=http://httpbin:8000/anything/$1-$run"
}

# traces_of prints the traces of the call.
traces_of() {
	local service
	for service in sleep flaskapp; do
		curl -sSf "$JAEGER/api/traces?service=$service.$namespace&start=${started}000000&limit=1000"
	done | jq -s --arg url "/anything/$1-$run" '
		map(.data[]) | unique_by(.traceID)
		| map(select(any(.spans[].tags[]; .key == "http.url" and (.value | tostring | contains($url)))))'
}

is_traces() {
	local sizes
	sizes=$(traces_of "$1" | jq -c 'map(.spans | length) | sort')
	echo "spans of each trace: $sizes"
	[ "$sizes" = "$2" ]
}

is_chain() {
	traces_of "$1" | jq -e --arg namespace "$namespace" '.[0] as $trace
		| ($trace.spans | map(.spanID)) as $ids
		| ($trace.spans | map(.references[]?.spanID)) as $parents
		| ($trace.spans | map($trace.processes[.processID].serviceName) | sort)
			== (["flaskapp", "flaskapp", "httpbin", "sleep"] | map(. + "." + $namespace))
		and ($parents | length) == 3 and ($parents | unique | length) == 3
		and ($parents - $ids) == []'
}

# within tries a check until it is so, for so many seconds.
within() {
	local until=$((SECONDS + $1)) out
	shift
	while ! out=$("${@:2}" 2>&1); do
		if [ $SECONDS -ge $until ]; then
			fail "$1" "$out"
		fi
		sleep 2
	done
	echo "ok: $1"
}

check() { within 0 "$@"; }

fail() {
	printf 'FAILED: %s\n%s\n' "$1" "$2" >&2
	exit 1
}

main
