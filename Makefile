# MiniGate. `make` alone lists the targets; every one of them installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
T ?= tests
# A folder is tested by all cores, a file at a time by each; the slow files come first (conftest.py).
PARALLEL := -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

BENCH := build/bench
BENCH_BIN := $(BENCH)/venv/bin
BENCH_STAMP := $(BENCH)/.installed
LOAD := build/load
LOAD_STAMP := $(LOAD)/.installed
GATEWAYS := build/gateways
GATEWAYS_STAMP := $(GATEWAYS)/.installed
MUTATE := build/mutate
MUTATE_STAMP := $(MUTATE)/.installed
INSTALL := -m pip install --disable-pip-version-check --quiet --require-hashes --only-binary :all: -r

.DEFAULT_GOAL := help
.PHONY: help setup run test faults e2e check format lock bench growth load coverage mutate clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything into .venv

run: $(STAMP) ## start the service, with stand-ins for what is not configured
	@$(BIN)/python -m service

test: $(STAMP) ## run the tests; T=tests/unit/test_models.py picks some
	@$(if $(filter tests,$(T)),echo "The whole suite: eleven minutes on two cores; fifteen while they are busy.",:)
	$(BIN)/pytest $(if $(wildcard $(addsuffix /.,$(T))),$(PARALLEL)) $(T)

faults: $(STAMP) ## races, crashes, outages, attacks: every bar into docs/reliability.md; MUTANTS=1: see each fail
	@echo "$(if $(MUTANTS),A change for each bar: 15,Every bar, many times over: 20) minutes on two cores that are idle."
	-tests/servers.sh
	-@$(MAKE) --no-print-directory $(GATEWAYS_STAMP)
	$(BIN)/python -m tests.faults $(if $(MUTANTS),--mutants)

e2e: $(STAMP) ## test the mini-program's client, its demo and the demo page; needs Node 20
	tests/browser/chromium.sh
	for suite in miniprogram browser; do npm --prefix tests/$$suite ci --no-audit --no-fund || exit; done
	npm --prefix tests/miniprogram run types
	npm --prefix tests/miniprogram run size
	npm --prefix tests/miniprogram test
	npm --prefix tests/browser test

check: $(STAMP) ## lint, formatting, types, the layout's import rules, Procfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/honcho check

format: $(STAMP) ## put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(STAMP) ## renew the hash-locked requirements from pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --custom-compile-command "make lock" pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --custom-compile-command "make lock" --extra dev pyproject.toml -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --custom-compile-command "make lock" --extra tracing pyproject.toml -o requirements-tracing.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --custom-compile-command "make lock" --extra bench pyproject.toml -o requirements-bench.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --custom-compile-command "make lock" --extra dev --extra mutate pyproject.toml -o requirements-mutate.txt
	for part in tests/bench/peers tests/faults tests/load; do \
	    $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate \
	        --custom-compile-command "make lock" $$part/requirements.in -o $$part/requirements.txt; done

bench: $(BENCH_STAMP) ## measure against the peers into docs/performance.md, 20 minutes; QUICK=1: one; ONLY=login: a part
	$(BENCH_BIN)/python -m tests.bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

growth: $(BENCH_STAMP) ## measure how it grows, and draw docs/capacity.md from that; QUICK=1
	$(BENCH_BIN)/python -m tests.bench.growth $(if $(QUICK),--quick)
	$(BENCH_BIN)/python -m tests.bench.capacity

load: $(STAMP) $(LOAD_STAMP) ## storms and slow days against two workers; report in build/load/, 2 minutes; QUICK=1
	$(BIN)/python -m tests.load $(if $(QUICK),0.25)

coverage: $(MUTATE_STAMP) ## which lines the tests in one process reach, into build/coverage/; 1 minute
	$(MUTATE)/venv/bin/pytest $(PARALLEL) tests/unit tests/contracts tests/api \
	    --cov --cov-report=html:build/coverage --cov-report=term

# In a copy, of which the tool makes one with all mutants in it.
mutate: $(MUTATE_STAMP) ## which changes of core and stores no test notices; an hour; M='service.core.login*'
	rm -rf $(MUTATE)/tree && mkdir -p $(MUTATE)/tree
	cp -r service tests config docs miniprogram *.md app.json Procfile Makefile pyproject.toml requirements* \
	    $(MUTATE)/tree/ && rm -rf $(MUTATE)/tree/tests/*/node_modules
	cd $(MUTATE)/tree && ../venv/bin/mutmut run $(M); ../venv/bin/mutmut results | grep -v 'not checked'

clean: ## remove what was installed and built; var/ stays
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(STAMP): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "MiniGate needs Python 3.11 or newer; name one: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing into $(VENV): half a minute, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --only-binary :all: \
	    -r requirements-dev.txt
	@touch $@

# The service as it is deployed and something to draw with; the peers in Python; those in Node, if it is here.
$(BENCH_STAMP): requirements-bench.txt $(wildcard tests/bench/peers/requirements.txt tests/bench/peers/package*.json)
	@echo "Installing into $(BENCH): a minute, once."
	$(PYTHON) -m venv $(BENCH)/venv
	$(BENCH_BIN)/python $(INSTALL) requirements-bench.txt
	$(PYTHON) -m venv $(BENCH)/peers
	$(BENCH)/peers/bin/python $(INSTALL) tests/bench/peers/requirements.txt
	mkdir -p $(BENCH)/node && cp tests/bench/peers/package*.json $(BENCH)/node/
	@if command -v npm >/dev/null; then cd $(BENCH)/node && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error; \
	    else echo "No npm here: the peers in Node will be left out."; fi
	@touch $@

$(MUTATE_STAMP): requirements-mutate.txt
	@echo "Installing into $(MUTATE): a minute, once."
	$(PYTHON) -m venv $(MUTATE)/venv
	$(MUTATE)/venv/bin/python $(INSTALL) requirements-mutate.txt
	@touch $@

$(LOAD_STAMP): tests/load/requirements.txt
	@echo "Installing into $(LOAD): half a minute, once."
	$(PYTHON) -m venv $(LOAD)/venv
	$(LOAD)/venv/bin/python $(INSTALL) tests/load/requirements.txt
	@touch $@

# Not for `make test`: 105 MB, and 350 on the disk. What these do not install on is tested without.
$(GATEWAYS_STAMP): tests/faults/requirements.txt
	@echo "Installing into $(GATEWAYS): half a minute, once."
	$(PYTHON) -m venv $(GATEWAYS)/venv
	$(GATEWAYS)/venv/bin/python $(INSTALL) tests/faults/requirements.txt
	@touch $@
