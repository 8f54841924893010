"""What several test files share: a site with few futures, a service in process, a demonstration."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SOAK = int(os.environ.get("PILOTHOUSE_SOAK", "1"))  # how many times the examples of each property
DEMO_HOURS = 2


def pytest_collection_modifyitems(items):
    """In a long campaign every property gets `SOAK` times its examples; `soak` tests run."""
    from hypothesis import settings

    for item in items if SOAK == 1 else ():
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.skip(reason="a long campaign: make soak"))
    seen = set()
    for item in items if SOAK > 1 else ():
        test = getattr(item.obj, "__func__", item.obj)
        mine = getattr(test, "_hypothesis_internal_use_settings", None)
        if mine is not None and test not in seen:
            seen.add(test)
            more = settings(mine, max_examples=mine.max_examples * SOAK)
            test._hypothesis_internal_use_settings = more


@pytest.fixture(scope="session")
def quick_site(tmp_path_factory):
    """The microgrid with fewer futures: for tests of what is done, not of how good it is."""
    from tests.laboratory import FUTURES

    folder = tmp_path_factory.mktemp("site") / "microgrid"
    shutil.copytree(ROOT / "scenarios" / "microgrid", folder)
    file = folder / "site.yaml"
    text = file.read_text()
    assert "  futures: 200\n" in text
    file.write_text(text.replace("  futures: 200\n", f"  futures: {FUTURES}\n"))
    return folder


@pytest.fixture(scope="session")
def laboratory(quick_site, tmp_path_factory):
    """One service over one plant; take `lab` in a test, which begins with nothing in force."""
    from agents.inprocess_dispatch import InProcessDispatcher
    from api.auth import UserStore
    from api.closed_loop import open_loop
    from api.demo import START
    from tests.laboratory import Laboratory

    folder = tmp_path_factory.mktemp("laboratory")
    start = datetime.fromisoformat(START)
    loop = open_loop(quick_site, start, 1, folder / "work", InProcessDispatcher())
    users = UserStore(folder / "users.sqlite")
    made = Laboratory(loop, users)
    yield made
    made.http.close()
    loop.operations.close()
    users.close()


@pytest.fixture
def lab(laboratory):
    """The laboratory with nothing in force and every loop in AUTO."""
    laboratory.quiet()
    return laboratory


@dataclass(frozen=True)
class Demonstration:
    """What `pilothouse demo --json` printed and left."""

    out: Path
    document: dict[str, Any]
    printed: str
    said: str


def pilothouse(*arguments: object, timeout: float = 120, **variables: str) -> Any:
    """Run the command in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "PILOTHOUSE_PASSPHRASE"}
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *map(str, arguments)],
        cwd=ROOT, env=environment | variables, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip


@pytest.fixture(scope="session")
def run_pilothouse():
    """The command, in a process of its own."""
    return pilothouse


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory):
    """One short demonstration for all tests that look at what it leaves."""
    out = tmp_path_factory.mktemp("demo") / "out"
    run = pilothouse("demo", "--hours", DEMO_HOURS, "--out", out, "--json", timeout=280)
    assert run.returncode == 0, run.stderr[-3000:]
    return Demonstration(out, json.loads(run.stdout), run.stdout, run.stderr)
