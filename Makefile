# offhook: `make help` lists the words. CI runs the same ones.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUST_SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
ARGS ?=
PYTEST := $(BIN)/python -m pytest
# These measure sound and gaps, and have the machine to themselves; those that follow streams by RTP take a while of real
# time and little of a processor, and have it to themselves, too. The other peers mostly wait, so four do it at a time; what
# has no peer computes and never waits.
MEASURING := tests/interop/media tests/interop/overload
STREAMS := tests/interop/streams tests/unit/media

.DEFAULT_GOAL := help
.PHONY: help run test lint fmt prove soak bench sound talk bargein answered-by wheel docs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"Python 3.11 or newer is needed; {sys.executable} is {v.major}.{v.minor}. Set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# The package itself, editable, with the media core always as a release build.
$(VENV)/.offhook: $(BIN)/python pyproject.toml tools/build_backend.py $(RUST_SOURCES)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.offhook
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

# Where a package of it is not to be had, the gateway answers with an echo test, and says so.
$(VENV)/.agent: $(VENV)/.offhook
	$(BIN)/python -m pip install --quiet 'offhook[agent]' && touch $@ || echo "The agent's packages could not be installed."

run: $(VENV)/.agent ## the gateway with embedded defaults and an agent that talks and listens (ARGS="--config F")
	$(BIN)/offhook run $(ARGS)

# Peers that come from PyPI live in an environment of their own, as a user of offhook would have them.
$(VENV)/agents/.ready: tests/interop/agents.txt $(VENV)/.dev
	$(PYTHON) -m venv $(VENV)/agents
	$(VENV)/agents/bin/python -m pip install --quiet --upgrade pip
	$(BIN)/maturin build --quiet --release --out $(VENV)/agents/wheel
	$(VENV)/agents/bin/python -m pip install --quiet --find-links $(VENV)/agents/wheel $$(ls -t $(VENV)/agents/wheel/*.whl | head -1) -r tests/interop/agents.txt
	@touch $@

test: $(VENV)/.dev ## every code path with small counts
	@$(MAKE) --no-print-directory --jobs 2 $(VENV)/agents/.ready compiled-tests
	tools/peers.sh
	cargo test --profile checked --workspace --quiet
	# One seed, so that a commit has one verdict; `make prove` and `fuzz/` by hand draw new ones.
	$${CARGO_TARGET_DIR:-target}/checked/offhook-fuzz --seconds 1 --seed 1
	$(BIN)/python fuzz/python_targets.py --seconds 1 --seed 1
	$(PYTEST) $(MEASURING) $(ARGS) || [ $$? -eq 5 ]
	$(PYTEST) $(STREAMS) -n 4 --dist loadfile $(ARGS) || [ $$? -eq 5 ]
	$(PYTEST) tests/interop $(MEASURING:%=--ignore=%) $(STREAMS:%=--ignore=%) -n 4 --dist loadfile $(ARGS) || [ $$? -eq 5 ]
	$(PYTEST) tests --ignore=tests/interop $(STREAMS:%=--ignore=%) -n 2 --dist worksteal $(ARGS) || [ $$? -eq 5 ]

# The tests of Rust are compiled while packages are fetched. All of the workspace at once: for the fuzzer alone, the media
# core would be compiled once more, with fewer features of what it uses.
.PHONY: compiled-tests
compiled-tests:
	cargo test --profile checked --workspace --quiet --no-run
	cargo build --profile checked --workspace --quiet --bin offhook-fuzz

lint: $(VENV)/.dev ## format, types, layers, the boundary's stub
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint-python lint-rust

.PHONY: lint-python lint-rust
lint-python:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/stubtest offhook._media --mypy-config-file pyproject.toml

lint-rust:
	cargo fmt --all --check
	cargo clippy --profile checked --workspace --all-targets --quiet -- -D warnings

fmt: $(VENV)/.dev ## format both languages
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .
	cargo fmt --all

prove: $(VENV)/.dev $(VENV)/agents/.ready ## the full counts; writes a dated page to docs/proof/
	tools/peers.sh
	$(BIN)/python tests/prove.py $(ARGS)

soak: $(VENV)/.dev ## a gateway under load and trouble for ten minutes (ARGS="--minutes 600")
	$(BIN)/python tests/soak/run.py $(ARGS)

bench: $(VENV)/.dev ## the load tool against a fresh gateway; writes a dated page to docs/benchmarks/
	cargo build --release --quiet -p offhook-bench
	$(BIN)/python bench/run.py $(ARGS)

sound: $(VENV)/.dev ## how speech sounds on good and bad lines, against baresip; writes a dated page to docs/benchmarks/
	tools/peers.sh
	$(BIN)/python tests/sound.py $(ARGS)

talk: $(VENV)/.dev ## how soon and how well the built-in agent answers; writes a dated page to docs/benchmarks/
	tools/peers.sh
	$(BIN)/python tests/talk.py $(ARGS)

bargein: $(VENV)/.dev ## how soon a caller who speaks over the agent is let speak; writes a dated page to docs/benchmarks/
	$(BIN)/python tests/bargein.py $(ARGS)

answered-by: $(VENV)/.dev ## who has answered, on lines not used for tuning: confusion matrix; writes a dated page to docs/benchmarks/
	tools/peers.sh neverball-data
	$(BIN)/python tests/answered_by.py $(ARGS)

wheel: $(VENV)/.dev ## a wheel that installs where there is no Rust
	$(BIN)/maturin build --release --out dist

docs: $(VENV)/.dev ## write the generated reference pages
	$(BIN)/python tools/reference.py

clean: ## remove what was built
	rm -rf $(VENV) target dist python/offhook/_media*.so
