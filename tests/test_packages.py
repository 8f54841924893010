"""The layout: eight packages that import downwards only, and nothing heavy too early."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("agents", "api", "graph", "planner", "plugins", "safety", "sandbox", "scenarios")
HEAVY = {
    "asyncua", "cvxpy", "duckdb", "fastapi", "highspy", "langgraph", "matplotlib", "numpy",
    "pyarrow", "pydantic", "ray", "regopy", "scipy", "sqlalchemy", "uvicorn",
}  # fmt: skip
# What can write to a plant: the gate's link and runtime, and the writer of this process's own gate.
WRITERS = {"safety.gate.opcua_plant", "safety.gate.opcua_link", "safety.gate.client", "asyncua",
           "safety.gate.runtime", "api.local_gate"}  # fmt: skip


def loaded_after(code: str, *arguments: str) -> set[str]:
    """Names of the modules that a fresh process holds after running `code`."""
    tail = "\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", code + tail, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_the_folder_of_this_repository(room):
    found = importlib.import_module(room)
    assert Path(found.__file__).resolve() == ROOT / room / "__init__.py"
    text = Path(found.__file__).read_text()
    assert [line for line in compile_lines(text) if line] == []


def compile_lines(text: str) -> list[str]:
    """The statements of a module besides its docstring."""
    return [ast.unparse(node) for node in ast.parse(text).body[1:]]


def test_rooms_import_downwards_only():
    command = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stdout
    assert "Rooms import downwards only KEPT" in run.stdout


def test_the_command_line_loads_nothing_heavy_before_it_is_told_what_to_do():
    loaded = {name.partition(".")[0] for name in loaded_after("import api.cli")}
    assert "click" in loaded
    assert loaded & HEAVY == set()


def test_importing_any_room_s_domain_does_not_load_a_solver_or_a_server():
    loaded = {n.partition(".")[0] for n in loaded_after("import graph.site, safety.gate.core")}
    assert loaded & {"ray", "cvxpy", "highspy", "fastapi", "asyncua", "matplotlib"} == set()


def test_a_shadow_run_has_nothing_in_its_process_that_could_write(quick_site):
    code = (
        "import sys; from datetime import datetime, timedelta; from pathlib import Path\n"
        "from api.shadow import run_shadow\n"
        "start = datetime.fromisoformat('2026-01-05T12:00:00-08:00')\n"
        "run = run_shadow(Path(sys.argv[1]), start, start + timedelta(hours=1),"
        " 'minimise cost for the next 24 hours', 20, 0)\n"
        "assert [r['outcome'] for r in run.rows] == ['proposal'], run.rows\n"
    )
    loaded = loaded_after(code, str(quick_site))
    assert "safety.gate.core" in loaded  # the canary's: pure functions that hold no plant
    assert loaded & WRITERS == set()
