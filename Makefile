# Two commands do everything: `make run` and `make test`. Both install what they
# need beyond rustup, gcc and make.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

TOOLCHAIN := $(shell sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
PLUGINS := sbom unicode-check report
TARGET := $(or $(CARGO_TARGET_DIR),target)
COFFERDAM := $(TARGET)/release/cofferdam
TASKS := $(PLUGINS:%=$(TARGET)/tasks/%.wasm)

.PHONY: help run test test-peers bench bench-noop build tasks toolchain fmt lint unit fuzz deny schemas clean

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: build tasks ## Set everything up, then inspect this repository and verify the result
	@$(COFFERDAM) setup $(TASKS)
	$(COFFERDAM) run examples/inspect/.cofferdam/inspect.yaml --source . | tee $(TARGET)/run.txt
	@verify="$$(sed -n 's/^  verify *//p' $(TARGET)/run.txt)"; echo "$$verify"; $$verify

test: toolchain lint unit deny ## Run every check

test-peers: toolchain ## Test with real registries, Sigstore services and their clients (needs Go)
	tests/real_peers/install
	tests/real_peers/run

bench: toolchain ## Measure beside make, ninja, go-task, bazel, moon, nx, turbo, openssl, bubblewrap, curl and skopeo
	tests/bench/install-peers
	cargo bench --package cofferdam --bench peers

bench-noop: toolchain ## Measure a thousand no-op tasks beside ninja and make alone
	@tests/bench/install-peers --system
	@cargo bench --package cofferdam --bench peers -- quick | tee $(TARGET)/bench-noop.txt
	@sed -n 's/^fan-out: ratio to make -j2 *\([0-9.]*\).*/ratio to make: \1/p' $(TARGET)/bench-noop.txt

build: toolchain ## Build the host program
	cargo build --release --package cofferdam

tasks: build ## Build the built-in tasks
	@mkdir -p $(TARGET)/tasks
	@for plugin in $(PLUGINS); do \
	  $(COFFERDAM) task build plugins/$$plugin --output $(TARGET)/tasks/$$plugin.wasm; \
	done

toolchain:
	@command -v rustup >/dev/null || { echo "install rustup first: see rustup.rs" >&2; exit 1; }
	@rustup run $(TOOLCHAIN) rustc --version >/dev/null 2>&1 \
	  || rustup toolchain install $(TOOLCHAIN) --profile minimal
	@rustup component list --toolchain $(TOOLCHAIN) --installed | grep -q '^clippy' \
	  || rustup component add --toolchain $(TOOLCHAIN) clippy rustfmt
	@rustup target list --toolchain $(TOOLCHAIN) --installed | grep -qx wasm32-wasip2 \
	  || rustup target add --toolchain $(TOOLCHAIN) wasm32-wasip2

fmt: toolchain ## Format the code
	cargo fmt --all

lint: toolchain ## Check format and lints
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --target wasm32-wasip2 $(PLUGINS:%=--package cofferdam-%) --package cofferdam-sdk -- -D warnings

unit: toolchain ## Run all tests
	tests/install-tools
	cargo test --workspace

# libFuzzer needs a C++ compiler and unstable flags of rustc, which nothing else
# here does; tests/fuzz has the targets for it.
fuzz: toolchain ## Mutate what others write: patterns, manifests, pipelines, Tekton's files, keys, configurations
	cargo test --workspace --test cases -- --ignored robustness::

deny: toolchain ## Check licences, advisories and sources of dependencies
	tests/deny

schemas: build ## Write the published JSON Schemas again
	for kind in pipeline pipeline-run task task-test trust; do $(COFFERDAM) schema $$kind > docs/schema/$$kind.json; done

clean: ## Remove what was built
	cargo clean
