# `make run` and `make test` do all the set-up on a Debian machine with Rust; `make deps` is the set-up alone.

CARGO ?= cargo
PROFILE ?= heavy
VENV := target/venv
# A test that hangs is a test that fails.
DEADLINE := $(shell command -v timeout >/dev/null && echo timeout --kill-after=10s 20m)

.PHONY: run build deps test bench bench-deps

run: deps build
	./target/release/pool-tune run --profile $(PROFILE)

build:
	$(CARGO) build --release --locked

# PostgreSQL's server is the one thing that cargo cannot bring; the tests want MariaDB's beside.
deps:
	@./.ci/deps

test:
	@./.ci/deps test
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --no-run
	$(DEADLINE) $(CARGO) test --locked
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

# Optuna is only compared against; it lives in a virtual environment of its own.
bench-deps:
	@./.ci/deps bench
	@test -x $(VENV)/bin/pip || python3 -m venv $(VENV)
	@$(VENV)/bin/python -c 'import optuna' 2>/dev/null || $(VENV)/bin/pip install --quiet optuna

bench: bench-deps
	PYTHON=$(VENV)/bin/python $(CARGO) bench --locked
