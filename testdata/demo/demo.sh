#!/bin/sh
# The demo's session, on the Podman service that CONTAINER_HOST names.
set -eu
cd "$(dirname "$0")"
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
export XDG_STATE_HOME="$state"
bootgraph() {
	printf '\n$ bootgraph %s\n' "$*"
	../../bin/bootgraph "$@"
}
bootgraph plan
bootgraph apply
bootgraph apply
bootgraph status
bootgraph down
