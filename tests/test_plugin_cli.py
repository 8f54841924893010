"""`pilothouse plugin`: from an empty folder to an installed plugin's plan, and who is refused."""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.candidates import choose_candidates
from api.cli import main
from api.plugin_rehearsal import recorded_snapshot
from api.plugins_store import PluginStore, plans_from_plugins, store_of
from api.sites import DEMO_SITE
from api.workspace import Workspace
from graph.clock import ManualClock, SystemClock
from graph.site import Site
from graph.snapshot import Snapshot
from safety.keys import generate
from safety.trust_root import Role, make_root, write_root

ROOT = Path(__file__).parents[1]
PASSPHRASE = "only for tests"
Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def recorded() -> tuple[Site, Snapshot]:
    return recorded_snapshot(DEMO_SITE, None, 24.0)


@pytest.fixture
def pilothouse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    """Runs one command with --json in `tmp_path`; returns its status and its document."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PILOTHOUSE_PASSPHRASE", PASSPHRASE)

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", ["pilothouse", *arguments, "--json"])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        return status, json.loads(capsys.readouterr().out or "{}")

    return run


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """Anna and Boris are engineers, Olga is an operator; none of their keys is a laboratory's."""
    made = Workspace(tmp_path / "site")
    roles: dict[str, Role] = {"Anna": "engineer", "Boris": "engineer", "Olga": "operator"}
    holders: dict[Role, list[Any]] = {}
    for person, role in roles.items():
        signer = generate(tmp_path / f"{person}.json", person, PASSPHRASE)
        holders.setdefault(role, []).append(signer)
    write_root(made.root_file, make_root(holders, SystemClock().now() + timedelta(days=9)))
    yield made
    store_of(made.folder.resolve()).close()


def signed_by(run: Run, *persons: str, name: str = "guest") -> Path:
    """A new plugin that `persons` have signed, one after the other."""
    assert run("plugin", "new", name, "--lang", "wat")[0] == 0
    for person in persons:
        assert run("plugin", "sign", name, "--key", f"{person}.json")[0] == 0
    return Path(name).resolve()


# --- the whole way ----------------------------------------------------------------------------


def test_from_an_empty_folder_to_a_candidate(
    pilothouse: Run, workspace: Workspace, recorded: tuple[Site, Snapshot]
) -> None:
    site, snapshot = recorded
    status, made = pilothouse("plugin", "new", "guest", "--lang", "wat", "--author", "Ada")
    assert (status, made["not_built"]) == (0, "")
    status, tried = pilothouse("plugin", "test", "guest")
    assert status == 0
    assert tried["run"]["outcome"] == "ok"
    assert tried["run"]["calls"] == {"submit.setpoints": 1, "submit.proposal": 1}
    assert 0 < tried["run"]["fuel_used"] < tried["asks"]["fuel"]
    keys = ("--key", "Anna.json", "--key", "Boris.json")
    assert pilothouse("plugin", "sign", "guest", *keys)[1]["signatures"] == 2
    assert plans_from_plugins(workspace, snapshot, site) == ()
    assert pilothouse("plugin", "install", "guest", "--workspace", "site")[0] == 0
    status, listed = pilothouse("plugin", "list", "--workspace", "site")
    (row,) = listed["plugins"]
    assert (status, row["plugin"], row["runs"]) == (0, "guest@0.1.0", True)
    assert set(row["signed_by"]) == {"Anna", "Boris"}
    (plan,) = plans_from_plugins(workspace, snapshot, site)
    assert plan.source == "plugin:guest@0.1.0"
    assert plan.setpoints == {"battery.power_set_kw": (0.0,) * snapshot.horizon_steps}
    assert [plan.model_dump(mode="json")] == tried["run"]["plans"]
    assert choose_candidates([plan]).best == plan


def test_the_c_template_is_built_by_what_is_found_here(pilothouse: Run) -> None:
    if not shutil.which("clang"):
        pytest.skip("clang is not installed")
    status, made = pilothouse("plugin", "new", "rest-in-c", "--lang", "c")
    assert status == 0
    if "wasm-tools is not installed" in made["not_built"]:
        pytest.skip(made["not_built"])
    status, tried = pilothouse("plugin", "test", "rest-in-c")
    assert (status, tried["run"]["outcome"]) == (0, "ok")
    assert tried["run"]["calls"]["telemetry.latest"] == 1
    source = Path("rest-in-c/advisor.c")
    source.write_text(source.read_text().replace("return done", "retrun done"))
    status, said = pilothouse("plugin", "build", "rest-in-c")
    assert status == 2
    assert "advisor.c" in said["message"]


def test_a_language_without_a_template_is_said_to_have_none(pilothouse: Run) -> None:
    status, said = pilothouse("plugin", "new", "guest", "--lang", "rust")
    assert (status, said["error"]) == (2, "InputError")
    assert "no template for 'rust' yet" in said["message"]
    assert not Path("guest").exists()


def test_a_plugin_that_fails_its_trial_ends_with_status_one(pilothouse: Run) -> None:
    folder = signed_by(pilothouse)
    source = (folder / "advisor.wat").read_text()
    (folder / "advisor.wat").write_text(source.replace("(f64.const 0)", "(f64.const 99)"))
    pilothouse("plugin", "build", "guest")
    status, tried = pilothouse("plugin", "test", "guest")
    assert (status, tried["run"]["outcome"]) == (1, "refused")
    assert "99 kW at step 0 is outside [-30, 30]" in tried["run"]["refusals"][0]


# --- who is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("persons", "named"),
    [
        (("Anna",), "1 distinct persons, expected at least 2"),
        (("Anna", "Anna"), "1 distinct persons, expected at least 2"),
        (("Anna", "Olga"), "holds operator, expected engineer"),
        (("Anna", "Stranger"), "knows no key"),
    ],
)
def test_a_wrong_or_missing_signer_is_refused(
    pilothouse: Run, workspace: Workspace, tmp_path: Path, persons: tuple[str, ...], named: str
) -> None:
    if "Stranger" in persons:
        generate(tmp_path / "Stranger.json", "Boris", PASSPHRASE)  # the name is no help
    signed_by(pilothouse, *persons)
    status, said = pilothouse("plugin", "install", "guest", "--workspace", "site")
    assert (status, said["error"]) == (1, "IntegrityError")
    assert named in said["message"]
    assert not (workspace.folder / "plugins").exists()


def test_a_component_changed_after_signing_is_refused(
    pilothouse: Run, workspace: Workspace
) -> None:
    folder = signed_by(pilothouse, "Anna", "Boris")
    component = folder / "guest.wasm"
    component.write_bytes(component.read_bytes().replace(b"rest.", b"work."))
    status, said = pilothouse("plugin", "install", "guest", "--workspace", "site")
    assert status == 1
    assert "was signed for sha256:" in said["message"]


def test_signatures_on_an_earlier_build_do_not_count_for_the_next(
    pilothouse: Run, workspace: Workspace
) -> None:
    folder = signed_by(pilothouse, "Anna")
    source = folder / "advisor.wat"
    source.write_text(source.read_text().replace("f64.const 0.9", "f64.const 0.5"))
    assert pilothouse("plugin", "build", "guest")[0] == 0
    assert pilothouse("plugin", "sign", "guest", "--key", "Boris.json")[1]["signatures"] == 1
    assert pilothouse("plugin", "install", "guest", "--workspace", "site")[0] == 1


def test_one_laboratory_key_is_enough_in_a_laboratory_only(pilothouse: Run) -> None:
    pilothouse("keys", "init", "lab", "--lab")
    pilothouse("plugin", "new", "guest", "--lang", "wat")
    pilothouse("plugin", "sign", "guest", "--key", "lab/keys/lab-approver.json")
    assert pilothouse("plugin", "install", "guest", "--workspace", "lab")[0] == 0
    _, anna = pilothouse("keys", "new", "anna.json", "--person", "Anna")
    trust = ("--public", anna["public"], "--person", "Anna", "--role", "engineer")
    pilothouse("keys", "trust", "lab/root.json", *trust)
    status, listed = pilothouse("plugin", "list", "--workspace", "lab")
    assert (status, listed["plugins"][0]["ok"]) == (1, False)


def test_no_more_can_be_granted_than_the_manifest_asks(
    pilothouse: Run, workspace: Workspace, tmp_path: Path
) -> None:
    folder = signed_by(pilothouse, "Anna", "Boris")
    asked = json.loads((folder / "manifest.json").read_text())
    grant = {**asked["asks"], "points": ["hp.power_set_kw"], "component": asked["component"]}
    (tmp_path / "grant.json").write_text(json.dumps(grant))
    where = ("--workspace", "site", "--grant", "grant.json")
    status, said = pilothouse("plugin", "install", "guest", *where)
    assert status == 1
    assert "'hp.power_set_kw' is granted but guest@0.1.0 asks only for" in said["message"]


# --- what the service asks ----------------------------------------------------------------------


def test_what_changed_in_the_workspace_counts_from_the_next_decision_on(
    pilothouse: Run,
    workspace: Workspace,
    recorded: tuple[Site, Snapshot],
    caplog: pytest.LogCaptureFixture,
) -> None:
    site, snapshot = recorded
    clock = ManualClock(SystemClock().now())
    store = PluginStore(workspace, clock)

    def sources() -> list[str]:
        return [plan.source for plan in store.plans(snapshot, site)]

    for name in ("alpha", "omega"):
        signed_by(pilothouse, "Anna", "Boris", name=name)
        pilothouse("plugin", "install", name, "--workspace", "site")
    assert sources() == ["plugin:alpha@0.1.0", "plugin:omega@0.1.0"]
    installed = workspace.folder / "plugins" / "alpha@0.1.0" / "component.wasm"
    good = installed.read_bytes()
    installed.write_bytes(good.replace(b"rest.", b"work."))
    with caplog.at_level(logging.WARNING):
        assert sources() == ["plugin:omega@0.1.0"]
    assert "plugin alpha left out: digest: alpha@0.1.0 was signed for" in caplog.text
    assert pilothouse("plugin", "list", "--workspace", "site")[0] == 1
    installed.write_bytes(good)
    assert sources() == ["plugin:alpha@0.1.0", "plugin:omega@0.1.0"]
    shutil.rmtree(installed.parent)
    assert sources() == ["plugin:omega@0.1.0"]
    clock.advance(timedelta(days=10).total_seconds())
    with caplog.at_level(logging.WARNING):
        assert sources() == []
    assert "no plugin is asked: root_expired" in caplog.text
    store.close()


def test_the_highest_version_is_asked(
    pilothouse: Run, workspace: Workspace, recorded: tuple[Site, Snapshot]
) -> None:
    site, snapshot = recorded
    for version in ("0.10.0", "0.9.0"):
        folder = Path("guest")
        shutil.rmtree(folder, ignore_errors=True)
        pilothouse("plugin", "new", "guest", "--lang", "wat")
        manifest = folder / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"0.1.0"', f'"{version}"'))
        pilothouse("plugin", "build", "guest")
        pilothouse("plugin", "sign", "guest", "--key", "Anna.json", "--key", "Boris.json")
        assert pilothouse("plugin", "install", "guest", "--workspace", "site")[0] == 0
    (plan,) = plans_from_plugins(workspace, snapshot, site)
    assert plan.source == "plugin:guest@0.10.0"
    rows = pilothouse("plugin", "list", "--workspace", "site")[1]["plugins"]
    assert [(r["plugin"], r["runs"]) for r in rows] == [
        ("guest@0.9.0", False),
        ("guest@0.10.0", True),
    ]


# --- the page ---------------------------------------------------------------------------------


def test_the_how_tos_commands_do_what_it_says(tmp_path: Path) -> None:
    if not shutil.which("clang"):
        pytest.skip("clang is not installed")
    text = (ROOT / "docs" / "how-to" / "write-a-plugin.md").read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"```sh\n(.*?)```", text, flags=re.S))
    tools = tmp_path / "bin"
    tools.mkdir()
    program = tools / "pilothouse"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m api.cli "$@"\n')
    program.chmod(0o755)
    (tools / "python").symlink_to(sys.executable)
    path = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=tmp_path, env={**os.environ, "PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "wasm-tools is not installed" in done.stdout:
        pytest.skip("wasm-tools is not installed")
    assert done.returncode == 0, done.stderr
    (shown,) = re.findall(r"```text\n(.*?)```", text, flags=re.S)
    fuel = re.compile(r"fuel [\d,]+ of")  # another clang makes other instructions
    assert fuel.sub("fuel N of", shown) in fuel.sub("fuel N of", done.stdout)
    assert "runs  idle-battery@0.1.0: signed by Anna, Boris" in done.stdout
    granted = json.loads((tmp_path / "site/plugins/idle-battery@0.1.0/grant.json").read_text())
    assert granted["fuel"] == 100_000
    heart = re.findall(r"```c\n(.*?)```", text, flags=re.S)[0]
    assert heart in (tmp_path / "idle-battery" / "advisor.c").read_text()
    asks = json.loads("{" + re.findall(r"```json\n(.*?)```", text, flags=re.S)[0] + "}")
    manifest = json.loads((tmp_path / "idle-battery" / "manifest.json").read_text())
    assert manifest["asks"] == asks["asks"]
