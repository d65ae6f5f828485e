# demo and test need only Go. All is built without cgo: one static binary, and no C compiler wanted.
export CGO_ENABLED = 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
BENCHTIME ?= 1s
FUZZTIME ?= 1m

# The tests that want a real Kafka are those in files with the build tag kafka.
KAFKA_FILES = $(shell grep -rl --include='*_test.go' '^//go:build kafka$$' .)
RUN ?= ^($(shell sed -n 's:^func \(Test[[:alnum:]_]*\).*:\1:p' $(KAFKA_FILES) | paste -sd "|" -))$$

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

.PHONY: demo
demo: build ## a broker, traffic with an attack in it and the worker, all in one process
	bin/firstseen demo

.PHONY: test
test: ## every test that needs nothing but Go
	go test -vet=off -timeout 4m -parallel 4 ./...
	cd compose && go test -vet=off ./...
	cd bench && go test -vet=off ./...

# One package after the other: each boots brokers of its own.
.PHONY: test-kafka
test-kafka: ## the tests on real Apache Kafka, booted with Java and Maven, or KAFKA_BROKERS
	go test -vet=off -count 1 -timeout 20m -p 1 -tags kafka -run '$(RUN)' $(sort $(dir $(KAFKA_FILES)))

# Stop, rebuild, warm start, restart, rolling restart of the built program; make test-kafka leaves them out.
.PHONY: restarts
restarts: ## what restarts cost, as a table, on Apache Kafka, with TERMS=1000000 terms in the state and PARTITIONS=16
	TERMS=$(or $(TERMS),1000000) go test -vet=off -count 1 -timeout 30m -tags restarts -run '^TestRestarts$$' -v ./processor

.PHONY: test-elastic
test-elastic: ## the rules of a checkout of elastic/detection-rules, RULES=DIR, imported and compared
	@if test -z "$(RULES)"; then echo "test-elastic: SKIPPED, RULES=DIR must name a checkout of https://github.com/elastic/detection-rules"; else \
		cd rules/imported && ELASTIC_RULES='$(abspath $(RULES))' go test -vet=off -count 1 -timeout 10m -tags elastic -run '^TestElasticRules$$' -args -rapid.checks 1000 -rapid.nofailfile; fi

.PHONY: model
model: ## the protocol's model (docs/spec) checked by TLC, with Java and Maven
	scripts/tlc

# synctests is a tag of franz-go's: locks that virtual time can see.
.PHONY: simulation
simulation: ## seeded faults: the worker's code over modelled brokers, SCHEDULES=5000, real clients on a virtual network, VIRTUAL_SCHEDULES=200
	SCHEDULES=$(or $(SCHEDULES),5000) go test -vet=off -count 1 -timeout 10m -run '^TestSchedules' ./processor
	VIRTUAL_SCHEDULES=$(or $(VIRTUAL_SCHEDULES),200) go test -vet=off -count 1 -timeout 15m -tags synctests -run '^TestVirtual' ./processor

.PHONY: chaos
chaos: ## faults of every kind on real workers and a real Kafka for CHAOS_MINUTES=3, CHAOS_SEED=N; judged
	go run -tags chaosnext ./chaos

.PHONY: chaos-mutants
chaos-mutants: ## the same with each of four rules of the protocol broken, CHAOS_MINUTES=2.5 each: all must be caught
	CHAOS_MUTANT=all CHAOS_MINUTES=$(or $(CHAOS_MINUTES),2.5) go run -tags chaosnext ./chaos

.PHONY: soak
soak: build ## workers on real Kafka for SOAK_MINUTES=30, restarted and killed: does anything grow? SOAK_BROKER=embedded
	go run ./soak

.PHONY: upstream
upstream: ## do franz-go and kfake still behave as docs/upstream says? each workaround that can go is named
	cd docs/upstream && go run .

.PHONY: lint
lint: .build/golangci-lint ## gofmt, go vet, golangci-lint
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted (make fmt):" $$files; exit 1; }
	bash -n scripts/kafka scripts/tlc scripts/vuln scripts/fuzz bench/peers/build .ci/run
	go vet -tags kafka,elastic,restarts,chaos,chaosnext,synctests ./...
	cd compose && go vet ./... && ../.build/golangci-lint run
	cd bench && go vet ./... && ../.build/golangci-lint run
	cd docs/upstream && go vet ./... && ../../.build/golangci-lint run
	.build/golangci-lint run

.PHONY: vuln
vuln: .build/govulncheck ## known vulnerabilities in what we call
	scripts/vuln .build/govulncheck ./...

.PHONY: bench
bench: ## benchmarks, BENCHTIME=1s each
	go test -vet=off -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

COMPARE_SIZE ?= short
COMPARE_MIX ?= plain

# COMPARE_FLAGS holds further flags of bench/compare, such as -rounds 5 or -parts rate,kill.
.PHONY: compare
compare: ## worker, Kafka Streams and a bare scan in turn on Apache Kafka, COMPARE_SIZE=short, COMPARE_MIX=plain
	cd bench && go run . compare -size $(COMPARE_SIZE) -mix $(COMPARE_MIX) $(COMPARE_FLAGS)

.PHONY: compare-smoke
compare-smoke: ## the same in small: are all answers right?
	cd bench && bash -o pipefail -c 'go run . compare -size smoke -rounds 1 -parts rate,latency,kill $(COMPARE_FLAGS) | \
		awk "{ print; fflush(); last = \$$0 } END { exit last !~ /^ratio cpu=[0-9.]+ rate=[0-9.]+ rss=[0-9.]+ p99=[0-9.]+\$$/ }"'

.PHONY: growth
growth: ## what more partitions and lanes cost, in CPU and memory, COMPARE_SIZE=short
	cd bench && go run . growth -size $(COMPARE_SIZE) -rounds 2 $(COMPARE_FLAGS)

.PHONY: sizing
sizing: ## the tables of docs/sizing.md: what work costs, and is that true of runs that were not asked
	cd bench && go run . sizing $(COMPARE_FLAGS)

.PHONY: guard
guard: ## has the worker become dearer since BASE=REVISION? COMPARE_SIZE=short
	@test -n "$(BASE)" || { echo "guard: BASE must name a revision"; exit 2; }
	cd bench && go run . guard -size $(COMPARE_SIZE) -mix $(COMPARE_MIX) -base $(BASE) $(COMPARE_FLAGS)

.PHONY: fmt
fmt: ## format the code
	gofmt -w .

.PHONY: build
build: ## bin/firstseen, static
	go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/firstseen ./cmd/firstseen

.PHONY: nightly
nightly: lint vuln test test-kafka ## all of these, the race detector (cgo), fuzzing for FUZZTIME=1m each
	CGO_ENABLED=1 go test -vet=off -race -timeout 30m ./...
	RAPID_CHECKS=5000 POWERLOSS_SEEDS=30 go test -vet=off -count 1 -timeout 20m -run 'TestPowerLossAtEveryWrite|TestStoreIsMapsWithPositions' ./state
	SCHEDULES=50000 VIRTUAL_SCHEDULES=2000 $(MAKE) simulation
	CHAOS_MINUTES=60 $(MAKE) chaos
	$(MAKE) chaos-mutants
	$(MAKE) restarts
	$(MAKE) soak
	scripts/fuzz $(FUZZTIME)

# The tools live in a module of their own: what they need is not what the worker needs.
.build/golangci-lint: tools/go.mod tools/go.sum
	cd tools && go build -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.build/govulncheck: tools/go.mod tools/go.sum
	cd tools && go build -o ../$@ golang.org/x/vuln/cmd/govulncheck
