# What can be done with a checkout. Needs Python 3.11 or later and make; everything else goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test check docs bench bench-quick fmt clean

##@ Use

run: $(RUNS) ## watch Lanner work: a stand-in for AWS, an audit webhook, for root this host; alerts on the screen
	$(BIN)/lanner demo

##@ Develop

test: $(READY) ## run all tests
	$(BIN)/pytest -n auto $(PYTEST_ARGS)

check: $(READY) ## lint and check types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(READY) ## write the reference pages that the program knows best
	$(BIN)/python docs/generate.py

bench: $(READY) ## measure everything, about ten minutes (not part of the tests)
	status=0; for each in engine scaling detection hoststate host cloudtrail webhook; do \
		echo "== $$each"; $(BIN)/python benchmarks/$$each.py || status=1; done; exit $$status

bench-quick: $(READY) ## measure evaluation and how it scales, under a minute
	$(BIN)/python benchmarks/engine.py --records 20000 --rounds 3
	$(BIN)/python benchmarks/scaling.py rules matches size --rounds 3

fmt: $(READY) ## format the code and sort imports
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove the environment, caches and built packages
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)

# The environment: what a user needs to run it, and what it takes to work on it. Made anew when dependencies change.
$(RUNS): pyproject.toml .ci/venv .ci/ebpf
	PYTHON=$(PYTHON) sh .ci/venv $(VENV) --editable '.[demo]'
	sh .ci/ebpf
	touch $@

$(READY): pyproject.toml .ci/venv .ci/ebpf
	PYTHON=$(PYTHON) sh .ci/venv $(VENV) --editable '.[demo,kubernetes]' --group dev
	sh .ci/ebpf
	touch $(RUNS) $@
