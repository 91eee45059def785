# Everything a newcomer or CI needs; python3 (3.11 or newer) and make are enough to start.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A file of tests stays together, since what its tests share is made once a process.
PARALLEL := --numprocesses auto --maxprocesses 8 --dist loadfile

.PHONY: demo test test-all check format clean

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "crossdim needs Python 3.11 or newer; name one with PYTHON=..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(READY)  ## the whole pipeline on generated shapes, minutes on 2 cores
	$(BIN)/crossdim demo --workspace crossdim-demo

test: $(READY)  ## the whole suite
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

test-all: $(READY)  ## with the tests that take minutes each
	$(BIN)/python -m pytest $(PARALLEL)

check: $(READY)  ## style, types, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf crossdim-demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache
