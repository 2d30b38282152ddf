# Two commands matter: `make serve` and `make test`. Each sets up what it needs, and can be repeated.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# Tests start Python a few hundred times: what it has compiled is kept, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve test check format bench ledger-growth simulate chaos lock clean

serve: $(VENV)/runtime.stamp
	@$(BIN)/quantized init
	@exec $(BIN)/quantized serve

# auto: two workers more than there are processors, see tests/conftest.py.
# worksteal: tests that share what they start stay together as long as there is work for everybody.
test: $(VENV)/dev.stamp
	$(BIN)/pytest -n auto --dist worksteal

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Needs nginx and a C compiler on the machine (Debian: apt-get install nginx-light gcc).
bench: $(VENV)/dev.stamp
	$(BIN)/python -m bench.run

# SIZES="1 10000" for others than the usual. A million entries take 1 GB of a temporary folder.
ledger-growth: $(VENV)/dev.stamp
	$(BIN)/python -m bench.ledger_growth $(SIZES)

# STEPS=… and SEED=…; what is found is found again with the seed that is printed with it.
simulate: $(VENV)/dev.stamp
	@$(BIN)/python -m simulation --shrink $(if $(STEPS),--steps $(STEPS)) $(if $(SEED),--seed $(SEED))

# ROUNDS=200 for a night; SEED=… draws the same troubles again, though no two runs of real processes are alike.
chaos: $(VENV)/dev.stamp
	@PYTHONPATH=tests/databases:tests/e2e $(BIN)/python -m chaos $(if $(ROUNDS),--rounds $(ROUNDS)) \
	  $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

# Resolves the locks anew. Hashes of every platform's files are in them, the host of no index is.
lock: $(VENV)/dev.stamp
	$(PIP) uv
	for set in runtime dev; do \
	  $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-header --quiet requirements/$$set.in --output-file requirements/$$set.lock || exit 1; \
	done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime.stamp: requirements/runtime.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) --require-hashes -r requirements/runtime.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/runtime.stamp
	$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@
