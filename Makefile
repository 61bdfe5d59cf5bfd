# The targets run what the gate in .ci/run runs, in parts.

FUZZTIME ?= 100000x
BENCHTIME ?= 1s

.PHONY: all build check test short race fuzz bench fmt

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

fuzz: ## every fuzz target, FUZZTIME executions each
	./.ci/fuzz $(FUZZTIME)

bench: ## every Go benchmark, as benchstat reads it
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

fmt:
	gofmt -w .
