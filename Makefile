# The targets run what the gate in .ci/run runs, in parts.

FUZZTIME ?= 100000x
BENCHTIME ?= 1s

SEEDS ?= 10000
FIRST ?= 1

.PHONY: all build check test short race sim fuzz bench fmt

all: build

build: ## the one binary, in ./bin
	go build -o bin/ringcask ./cmd/ringcask

check: ## everything that CI checks
	./.ci/run

test:
	go test ./...

short:
	go test -short ./...

race:
	go test -race -short ./...

sim: ## SEEDS seeds of the simulated cluster, from FIRST on, in as many processes as there are processors
	go test -count=1 -timeout 0 -v -run '^TestSeeds$$' ./integration/sim -sim.seed $(FIRST) -sim.seeds $(SEEDS)

fuzz: ## every fuzz target, FUZZTIME executions each
	./.ci/fuzz $(FUZZTIME)

bench: ## every Go benchmark, as benchstat reads it
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

fmt:
	gofmt -w .
