# Everything that CI asks for, by name. `make check` is the whole of it.
PY ?= .venv/bin/python
PACKAGES = agents api graph planner plugins safety sandbox scenarios

.PHONY: setup format lint types imports test check soak demo

setup: .venv/.done
.venv/.done: pyproject.toml
	python3 -m venv .venv
	.venv/bin/pip install -q -e ".[dev]"
	touch $@

format: setup
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

lint: setup
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .

types: setup
	$(PY) -m mypy

imports: setup
	.venv/bin/lint-imports

test: setup
	$(PY) -m pytest

check: lint types imports test

# The long campaigns: twenty times the examples of every property, then the fortnight's benchmark.
soak: setup
	PILOTHOUSE_SOAK=20 $(PY) -m pytest --timeout=7200
	.venv/bin/pilothouse bench decision

demo: setup
	.venv/bin/pilothouse demo --out out
