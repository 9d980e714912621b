# AirReID: one set of commands for people and for CI.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-all lowest mutants check format proto bench bench-check clean

help:  ## What each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## Queries over a noisy channel, end to end, on synthetic people (report/)
	$(BIN)/airreid simulate

test: $(VENV)/.dev  ## Everything installed and the tests run (slow ones: make test-all)
	$(BIN)/pytest -n auto --dist loadfile

test-all: $(VENV)/.dev  ## The slow tests too
	$(BIN)/pytest -n auto --dist loadfile -m ""

lowest:  ## The lowest versions that are declared: installed, and tests run with them (quarter of an hour)
	PYTHON=$(PYTHON) bash tests/lowest.sh

mutants: $(VENV)/.mutants  ## 200 small faults in the core packages: which do the tests see? (half an hour)
	$(BIN)/python tests/mutants $(ARGS)

check: $(VENV)/.dev  ## Lint, format and strict types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: $(VENV)/.dev  ## Regenerate the stubs in airreid/v1 from proto/
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. \
	    --mypy_out=. --mypy_grpc_out=. proto/airreid/v1/*.proto

bench: $(VENV)/.bench  ## Everything measured side by side (benchmarks/RESULTS.md)
	$(BIN)/airreid bench all

bench-check: $(VENV)/.bench  ## Have the quick ratios fallen since they were written down?
	$(BIN)/airreid bench check

clean:  ## Remove the environment, caches and reports
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache report runs *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The demo needs neither torch nor the test tools.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[simulate,evaluate]'
	touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[simulate,evaluate,milvus,training,dev]'
	touch $@ $(VENV)/.demo

$(VENV)/.mutants: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[mutants]'
	touch $@

# What only the benchmarks compare with.
$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	touch $@
