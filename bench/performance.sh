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
growth() { # FILE: the exponent of a power of the number of services, by least squares
	awk '/^BenchmarkScale/ {
		split($1, name, "[/-]"); x = log(name[3]); y = log($3); part = name[2]
		n[part]++; sx[part] += x; sy[part] += y; sxx[part] += x*x; sxy[part] += x*y
	} END {
		for (part in n) printf "- %s grows with the power %.2f of the number of services\n", part, (n[part]*sxy[part]-sx[part]*sy[part])/(n[part]*sxx[part]-sx[part]^2)
	}' "$1" | sort
}
{
	cat bench/performance.head.md "$out/bench.md"
	printf 'A gRPC server that is up and says NOT_SERVING for half a second: from when it says\nSERVING to found ready, with Watch and without:\n\n```\n'
	grep ^Benchmark "$out/serving.txt"
	printf '```\n\n'
	printf '## bootgraph itself\n\nFrom the text of a boot file (10 edges a service, ten stages) to the last event of\nits boot in virtual time:\n\n```\n'
	stat scale.txt
	printf '```\n\n'
	growth "$out/scale.txt"
	printf '\nA graph of 10,000 vertices and 100,000 edges, from names to the longest path, by\npackage `dag`; by slices alone, the least that can be done; by gonum'"'"'s `simple`, which\nstops at the order; by gonum'"'"'s algorithm over a `dag` that exists; and the transitive\nreduction:\n\n```\n'
	stat graph.txt
	printf '```\n'
} >docs/performance.md
