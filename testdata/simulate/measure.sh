#!/bin/sh
# What simulate foretells against what comes: boots each graph once for its
# journal, simulates, and boots it again. On the Podman service that
# CONTAINER_HOST names, as in:
#
#	make && go run ./testdata/host/run -- testdata/simulate/measure.sh
set -eu
cd "$(dirname "$0")"
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
export XDG_STATE_HOME="$state"
bootgraph=${BOOTGRAPH:-../../bin/bootgraph}
length() { sed -n 's/.*"type":"run_done".*"elapsed_s":\([0-9.]*\).*/\1/p'; }
for graph in chain wide realistic; do
	recorded=$($bootgraph apply --progress json $graph.hcl | length)
	$bootgraph down $graph.hcl >/dev/null 2>&1
	foretold=$($bootgraph simulate --format json $graph.hcl | length)
	measured=$($bootgraph apply --progress json $graph.hcl | length)
	$bootgraph down $graph.hcl >/dev/null 2>&1
	echo "$graph $recorded $foretold $measured" |
		awk '{ printf "%-10s recorded %6.2fs  foretold %6.2fs  measured %6.2fs  ratio %.3f\n", $1, $2, $3, $4, $3 / $4 }'
done
