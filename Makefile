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

# The long campaigns: twenty times the examples of every property, the fortnight's benchmark, the
# calibration, and four weeks of closed loop on a building in EnergyPlus.
soak: setup
	PILOTHOUSE_SOAK=20 $(PY) -m pytest --timeout=7200
	.venv/bin/pilothouse bench decision
	.venv/bin/pilothouse bench rollouts --check
	.venv/bin/pilothouse bench safety-filter
	.venv/bin/pilothouse bench calibration --check
	.venv/bin/pilothouse run --site scenarios/office_small --against drawing-board \
		--from 2026-01-12 --to 2026-01-26 --from 2026-07-13 --to 2026-07-27

demo: setup
	.venv/bin/pilothouse demo --out out
