# `make demo` and `make test` need only Python 3.11 or newer; each makes its own .venv on first use.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
BENCH ?= .bench
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-slow gpu-check lint types package bench-env clean

demo: $(VENV)/.demo
	$(BIN)/ganvas demo

# One torch thread a worker: two workers with two threads each would fight for the same cores. Types are checked beside the tests,
# and told after them: alone they would leave a core idle.
test: $(VENV)/.test lint
	@$(BIN)/mypy > $(VENV)/types.txt 2>&1 & types=$$!; \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m 'not slow' --numprocesses 2 --dist worksteal; tests=$$?; \
	wait $$types; types=$$?; cat $(VENV)/types.txt; exit $$(( tests + types ))

# What takes some ten seconds a test: systems that must learn, processes that are killed, memory that is measured, studies.
# SLOW: some of them, such as tests/studies.
SLOW ?= tests
test-slow: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SLOW) -m slow --numprocesses 2 --dist loadgroup

# What must be true on one CUDA machine, in ten minutes: benchmarks/gpu.py tells which parts there are. PARTS: some of them.
PARTS ?= contract,resume,precision,speed,waits,compile,sampling
gpu-check: $(VENV)/.test
	$(BIN)/python benchmarks/gpu.py --parts $(PARTS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "ganvas needs Python 3.11 or newer: install it, or name it with  make PYTHON=/path/to/python3"; exit 2; }
	$(PYTHON) -m venv $(VENV)

# torch comes first and pinned: the constraint keeps every later line from taking another build of it.
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) torch==$$(sed -n 's/^torch==//p' constraints.txt)
	$(PIP) --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	$(PIP) --editable '.[all,dev]'
	@touch $@

# The built wheel, alone in an empty environment: what `pip install ganvas` gives.
package: $(BIN)/python
	rm -rf build/wheel build/empty build/run
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	$(PYTHON) -m venv build/empty
	build/empty/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch build/wheel/*.whl
	build/empty/bin/ganvas systems
	build/empty/bin/ganvas demo --budget 5s --out build/run
	build/empty/bin/ganvas sample build/run -n 4

# The other tools that the benchmarks measure ganvas against, in an environment of its own: 6 GB on Linux, where PyPI's torch
# brings CUDA along. Run a benchmark that compares with them by  .bench/bin/python benchmarks/...
bench-env: $(BENCH)/.ready

$(BENCH)/.ready: benchmarks/environment/requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "ganvas needs Python 3.11 or newer: install it, or name it with  make PYTHON=/path/to/python3"; exit 2; }
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $< --editable .
	@touch $@

clean:
	rm -rf $(VENV) $(BENCH) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
