# Two commands: `make quickstart` runs a pipeline, `make test` checks everything CI checks. Both make .venv themselves,
# once, and again whenever pyproject.toml changes.

suitable = $(shell $(1) -c 'import sys, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null && echo $(1))
PYTHON ?= $(firstword $(foreach found,python3 python3.14 python3.13 python3.12 python3.11,$(call suitable,$(found))))
BIN := .venv/bin
TESTED := OMP_NUM_THREADS=1 TRITON_INTERPRET=1 $(BIN)/pytest -q

.PHONY: quickstart test test-full lint docs bench clean
.DELETE_ON_ERROR:

quickstart: .venv/ready
	$(BIN)/penstock run examples/quickstart.yaml

test: lint
	$(TESTED)

test-full: lint
	$(TESTED) -m ''

lint: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: .venv/ready-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Goes on where it was stopped; `.venv/bin/python benchmarks/run.py --quick` measures fewer cells in fewer rounds.
bench: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/run.py

clean:
	rm -rf site .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# torch first: it is the large one, and which build of it is installed is the machine's own choice (pip's configuration).
.venv/ready: pyproject.toml
	$(if $(PYTHON),,$(error Penstock needs Python 3.11 or newer with venv; name one with `make PYTHON=...`))
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check 'torch>=2.11,<2.14'
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/ready-dev: .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
