# Targets for people; .ci/run calls lint and test.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install demo models test lint bench lock

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --editable .
	touch $@

demo: install
	$(BIN)/python models/demo.py

models: install
	$(BIN)/python models/make.py

test: install
	$(BIN)/python -m pytest -n 2

lint: install
	$(BIN)/ruff check
	$(BIN)/mypy

# Every figure of benchmarks/RESULTS.md; it can be stopped and goes on where it was.
bench: install
	PYTHONPATH=models:benchmarks $(BIN)/python benchmarks/bench.py

# New versions of what we stand on, within the ranges of pyproject.toml.
lock: install
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --all-extras \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		pyproject.toml --output-file requirements.lock
