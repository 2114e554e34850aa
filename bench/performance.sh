#!/bin/sh
# Writes docs/performance.md anew: make performance. What is said in words is
# in bench/performance.head.md; every figure is measured now.
set -eu
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# shellcheck disable=SC2086 # flags
go run ./bench ${BENCH:-} >"$out/bench.md"
go test ./scheduler -run '^$' -bench Scale -benchtime 1s -count 6 >"$out/scale.txt"
go test ./dag -run '^$' -bench 'Compile|Reduce' -benchtime 0.3s -count 6 >"$out/graph.txt"
go test ./health -run '^$' -bench FoundServing -benchtime 60x >"$out/serving.txt"
stat() { # FILE: medians and how far they scatter, or what they are made of
	(cd "$out" && go run golang.org/x/perf/cmd/benchstat@latest "$1" 2>benchstat || cat "$1")
}
{
	cat bench/performance.head.md "$out/bench.md"
	printf 'A gRPC server that is up and says NOT_SERVING for half a second: from when it says
SERVING to found ready, with Watch and without:

```
'
	grep ^Benchmark "$out/serving.txt"
	printf '```

'
	printf '## bootgraph itself\n\nFrom the text of a boot file (10 edges a service, ten stages) to the last event of\nits boot in virtual time:\n\n```\n'
	stat scale.txt
	printf '```\n\nA graph of 10,000 vertices and 100,000 edges, from names to the longest path, by\npackage `dag`; by gonum'"'"'s `simple`, which stops at the order; by gonum'"'"'s algorithm\nover a `dag` that exists; and the transitive reduction:\n\n```\n'
	stat graph.txt
	printf '```\n'
} >docs/performance.md
