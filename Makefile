# Each target is one command; the work is in go and in testdata/host.
.PHONY: build demo bench performance test race kill9 soak update docs-pictures proto
# Without gRPC's pages of traces: nobody serves them, and their templates are a
# sixth of the binary (see unit.go).
build:
	go build -tags grpcnotrace -o bin/bootgraph ./cmd/bootgraph

# ./... leaves testdata out.
testdata = ./testdata/host ./testdata/host/run ./testdata/server

# Boot testdata/demo on a private Podman service, show it, leave nothing behind.
demo: build
	@testdata/host/install.sh
	@go run ./testdata/host/run -- testdata/demo/demo.sh

# The same boots with bootgraph and with its peers, on a private Podman: a table.
BENCH = -runs 5 -peers 1
bench: build
	@testdata/host/install.sh
	@go run ./bench $(BENCH)

# docs/performance.md, measured anew.
performance: build
	@testdata/host/install.sh
	@BENCH="$(BENCH)" bench/performance.sh

# Everything, real Podman and rootless Podman included.
test:
	@testdata/host/install.sh --test
	go vet ./... $(testdata)
	go test -count=1 -timeout 20m ./... ./testdata/host # never from the cache: Podman is not in its key
	@$(MAKE) --no-print-directory race

# What has goroutines, without Podman, which would be most of the time, and
# without what is one goroutine at length. The detector needs a C compiler.
race:
	@if CGO_ENABLED=1 go test -race -run '^$$' ./dag >/dev/null 2>&1; then \
		CGO_ENABLED=1 go test -race -count=1 -timeout 10m -skip '$(unraced)' ./scheduler ./agent ./health ./journal ./page ./trace; \
	else echo "NOT RUN: the race detector needs cgo and a C compiler (gcc)" >&2; fi
unraced = Podman|NothingIsReadyBefore|APortThatIsNotPassedOn|TestPage(Follows|By|At|Finds)|NotesGetRare|SimulationGives|TenThousand

# Kill apply at N random instants, on real Podman.
N = 200
kill9:
	go test ./cmd/bootgraph -count=1 -timeout 0 -v -run TestKilledAtAnyInstant -kill9 $(N)

# Random boots in random worlds, in virtual time, T for each kind.
T = 10m
soak:
	go test ./scheduler -count=1 -timeout 0 -v -run TestRandom -soak $(T) | grep -v '^ *--- PASS\|^=== RUN'

update:
	go test ./config ./lint ./scheduler ./report -update

# The Go code of the agent's API, by plugins that are tools of this module.
proto:
	go run ./agent/genproto

# The pictures that the documents show; a test says when they are stale.
docs-pictures: build
	bin/bootgraph graph --format svg testdata/rift > docs/rift.svg
	bin/bootgraph graph --format svg testdata/graphs/small > docs/graph-small.svg
	bin/bootgraph graph --format svg testdata/graphs/medium > docs/graph-medium.svg
	bin/bootgraph graph --format svg testdata/graphs/large > docs/graph-large.svg
	XDG_STATE_HOME=$(CURDIR)/testdata/state bin/bootgraph analyze plot --run 20261129T032053.116Z-7296 testdata/shop > docs/analyze-plot.svg
