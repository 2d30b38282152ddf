# Two commands matter: `make serve` and `make test`. Each sets up what it needs, and can be repeated.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: serve test check format bench lock clean

serve: $(VENV)/.runtime
	@$(BIN)/quantized init --quiet-if-done
	@exec $(BIN)/quantized serve

test: $(VENV)/.dev
	$(BIN)/pytest -n auto

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
