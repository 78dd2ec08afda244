PYTHON ?= python3
VENV := .venv
# Further arguments: make test ARGS="-k lease -x", make bench ARGS="--server mysql"
ARGS ?=
# Of the tests. Each starts servers of its own; those that are named it would share.
PROCESSES := $(if $(strip $(value EVTRIG_TEST_DSN)),0,2)
# How long make soak lasts on each server.
MINUTES ?= 10

# Documentation shows evtrig without settings: with a DSN, generate would ask a server.
unexport EVTRIG_DSN EVTRIG_DEFAULTS_FILE EVTRIG_SPEC EVTRIG_OUTBOX

# The set-up steps must not run at the same time: both may call apt-get or pip.
.NOTPARALLEL:
.PHONY: help venv servers ministack demo test soak bench check docs clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

demo: servers venv ## all of evtrig on a throwaway server, in one command
	@$(VENV)/bin/evtrig demo

test: servers venv ministack ## every test, on every server there is (ARGS="-k lease -x")
	@$(VENV)/bin/pytest -n $(PROCESSES) --dist loadgroup --durations=10 $(ARGS)

soak: servers venv ## faults for MINUTES=10 a server (ARGS="--server mysql --seed 7")
	@$(VENV)/bin/python tests/chaos/soak.py --minutes $(MINUTES) $(ARGS)

bench: servers venv ## figures: capture, many tables, relay, sinks (ARGS="--server mysql")
	@$(VENV)/bin/python benchmarks/capture.py $(ARGS)
	@$(VENV)/bin/python benchmarks/tables.py $(filter --server mysql mariadb,$(ARGS))
	@$(VENV)/bin/python benchmarks/relay.py $(filter --server mysql mariadb,$(ARGS))
	@$(VENV)/bin/python benchmarks/sinks.py $(filter --server mysql mariadb,$(ARGS))

check: venv ## style, types, and whether generated documentation is up to date
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" \
	    cog --check -P $(wildcard README.md docs/*.md)

docs: venv ## write the generated parts of the README and docs anew
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" \
	    cog -r -P $(wildcard README.md docs/*.md)

venv: $(VENV)/installed ## the virtual environment, with evtrig and its tools
	@:

# A file and not the folder: pip changes the folder's time, and may fail half-way.
$(VENV)/installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and \
	    "evtrig needs Python 3.10 or later: make venv PYTHON=python3.12")'
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV) || { \
	    echo "on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	    rm -rf $(VENV); exit 1; }
	@$(VENV)/bin/pip install -qq --disable-pip-version-check -e '.[test,check]'
	@touch $@

servers: ## MySQL and MariaDB for the demo and the tests (root on Debian or Ubuntu)
	@PYTHON=$(PYTHON) .ci/servers

# Another AWS emulator, for tests/integration/test_second_opinion.py.
ministack: venv
	@$(VENV)/bin/python tests/fakes/ministack.py

clean: ## remove what the targets above have made here
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
