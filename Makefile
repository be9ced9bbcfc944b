# make chat    talk with the bot here, now        make test      everything that proves it works
# make serve   answer in Slack and Telegram       make install   put the command into .venv/bin
# make lint    types and style                    make faults    kill things while they work (minutes)
# make bench   how fast, as ratios                make flaky     the tests 5 times, while all cores are busy
# make clean   remove what make has made

VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
# Twice the cores: half of the tests wait for a server or a process.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(16, 2 * (os.cpu_count() or 1)))')

# Of `make flaky`.
RUNS ?= 5
# Of `make faults`: options such as --least-rights.
FAULTS ?=

# Without bytecode every process would compile us anew: half a second a start, and the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: chat serve install test lint bench faults flaky clean lock

chat: $(VENV)/.run
	@$(BIN)/keepthread chat

install: $(VENV)/.run

serve: $(VENV)/.run
	@$(BIN)/keepthread serve

test: $(VENV)/.dev
	$(BIN)/pytest -n $(WORKERS) -q

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults $(FAULTS)

flaky: $(VENV)/.dev
	$(BIN)/python -m tests.flaky --runs $(RUNS) -n $(WORKERS)

bench: $(VENV)/.bench
	$(BIN)/python -m tests.bench

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp says which locked set is installed; a second run has nothing to do.
ifdef UV
$(VENV)/.made:
	uv venv -q --python ">=3.11" --seed $(VENV)
	@touch $@
INSTALL = uv pip install -q --compile-bytecode --python $(BIN)/python
else
$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Keepthread needs Python 3.11 or newer: make PYTHON=/path/to/it")'
	$(PYTHON) -m venv $(VENV)
	@touch $@
INSTALL = $(BIN)/python -m pip install -q --disable-pip-version-check
endif

$(VENV)/.run: $(VENV)/.made requirements.lock pyproject.toml
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.made requirements-dev.lock pyproject.toml
	$(INSTALL) --require-hashes -r requirements-dev.lock
	$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.run

$(VENV)/.bench: $(VENV)/.dev requirements-bench.lock
	$(INSTALL) --require-hashes -r requirements-bench.lock
	@touch $@

lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra local --extra slack --extra telegram --extra build pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra local --extra slack --extra telegram --extra build --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --extra local --extra slack --extra telegram --extra build --extra dev --extra bench -c requirements-dev.lock pyproject.toml -o requirements-bench.lock
