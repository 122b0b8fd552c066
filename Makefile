# Two commands: `make demo` and `make test`. Each sets up what it needs in .venv first.
# TORCH_INDEX names a package index of CPU builds of torch, where pip's default one would bring GPU packages.

PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

# A demo or a run of the tests starts hundreds of processes; without its bytecode each would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint tests bench bench-utility bench-peers fuzz crashes soak clean

demo: $(INSTALLED)
	$(BIN)/python -m tests.demo.run

# The checks of `lint` run beside the tests; make prints them in one piece when they end, and the tests as they go («+»).
test: $(INSTALLED)
	$(MAKE) --jobs 2 --keep-going --output-sync=target --no-print-directory lint tests

tests: $(INSTALLED)
	+OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs -n 2 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)
	$(BIN)/python -m tests.benchmarks.run

# What privacy costs in accuracy: ten splits, alone, federated and pooled, at four privacy levels.
bench-utility: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.utility

# Flower in an environment of its own, for `make bench` to measure beside us: its pins do not go with ours.
# And uv, with all in its cache that PySyft's own runner installs for each job.
bench-peers: .venv-peers/installed

.venv-peers/installed: tests/benchmarks/peers-requirements.txt $(INSTALLED)
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --requirement $<
	$(BIN)/python -m tests.benchmarks.pysyft_peer
	touch $@

# A million inputs over all parsers that face outside; only where atheris has a wheel: Linux on x86-64.
fuzz: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.run --inputs 1000000

# A datasite killed at each single statement of the lives of its requests, on SQLite and PostgreSQL.
crashes: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.crashes.run

# Random kills of every party for MINUTES, with SEED if it is to be drawn again; stops at the first broken promise.
MINUTES ?= 10
soak: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.soak.run --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) .venv-peers demo-output bench-output fuzz-findings soak-output .mypy_cache .ruff_cache .pytest_cache
	rm -rf .hypothesis .import_linter_cache *.egg-info
