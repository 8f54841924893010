"""The documentation is true: its commands run, its links resolve, its tables match the code.

Conventions for the pages (README.md and docs/**):

- A `sh` block whose every line starts with `pilothouse` (or `#`) is run, line by line, in a
  temporary folder that holds `scenarios/microgrid`, a signed `out/demo/bundle.json` with its
  `root.json`, and `with-policy`, a copy of the pack with the page's rego block in it. A line that
  ends in `# exit N` must end with that status, every other with 0.
- A `sh` block that begins with a comment `# slow` is not run: only its commands and options are
  checked against the command line's own declarations. So is every other `sh` block's `pilothouse`.
- `console` blocks are sessions with running services; their `pilothouse` lines are checked alike.
"""

import importlib
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
PASSPHRASE = "a passphrase for the documentation"


def blocks(page: Path, *kinds: str) -> list[str]:
    return [body for kind, body in FENCE.findall(page.read_text()) if kind in kinds]


def lines_of(block: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", " ", block)
    return [line.strip() for line in joined.splitlines() if line.strip()]


def runnable(block: str) -> bool:
    lines = lines_of(block)
    return not lines[0].startswith("# slow") and all(
        line.startswith(("pilothouse ", "#")) for line in lines
    )


def commands(page: Path) -> list[str]:
    """Every call of the command line on the page, without prompt, path and redirections."""
    found = []
    for block in blocks(page, "sh", "console"):
        for line in lines_of(block):
            for part in re.split(r"&&|\|", line.removeprefix("$ ")):
                part = re.sub(r"^\S*/pilothouse ", "pilothouse ", part.strip())
                if part.startswith("pilothouse "):
                    found.append(re.sub(r"\s[<>]\s*\S+", "", part))
    return found


ELSEWHERE = {"write-a-plugin.md"}  # run as a whole by the plugins' own tests
RUN = {
    page: [block for block in blocks(page, "sh") if runnable(block)]
    for page in sorted(DOCS.rglob("*.md"))
    if page.name not in ELSEWHERE
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A laboratory's bundle and root, made as a service makes them, on recorded telemetry."""
    from agents.inprocess_dispatch import InProcessDispatcher
    from agents.telemetry_feed import TelemetryFeed
    from api.approver import sign_decision
    from api.assemble import load_context, make_authority
    from api.copilot import Copilot, Plant
    from api.offline import RecordedPlant
    from api.sites import DEMO_SITE
    from api.workspace import create_workspace

    folder = tmp_path_factory.mktemp("demo")
    pack, context = load_context(DEMO_SITE)
    frame = pack.telemetry()
    reader = RecordedPlant(pack.site, frame, frame.end)
    workspace = create_workspace(folder / "work", lab=True)
    authority = make_authority(workspace, pack.site.id)
    plant = Plant(pack, context, reader, TelemetryFeed(pack.site, frame))
    copilot = Copilot(plant, authority, InProcessDispatcher(), None)
    decision, snapshot = copilot.decide(
        "minimise energy cost until tomorrow 06:00, keep the rooms between 20 and 24 °C", "test",
        futures=200,  # fewer cannot prove the low risk that one operator may approve
    )  # fmt: skip
    assert decision.proposal is not None, decision.reasons
    assert snapshot is not None
    signed = copilot.sign(decision, snapshot)
    assert decision.proposal.required_approvals.min_persons == 1
    approval = sign_decision(
        decision.proposal, workspace.signer("lab-approver"), "approve", "operator", "test",
        snapshot.as_of,
    )  # fmt: skip
    authority.ledger.append("approval", approval)
    (folder / "bundle.json").write_bytes(copilot.bundle_file(signed, (approval,)))
    shutil.copy(workspace.root_file, folder / "root.json")
    authority.ledger.close()
    return folder


@pytest.fixture
def place(tmp_path: Path, demo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "scenarios" / "microgrid", tmp_path / "scenarios" / "microgrid")
    shutil.copytree(demo, tmp_path / "out" / "demo")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PILOTHOUSE_PASSPHRASE", PASSPHRASE)
    return tmp_path


def call(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    from api.cli import main

    monkeypatch.setattr(sys, "argv", shlex.split(line, comments=True))
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.mark.parametrize(
    "page", [p for p, found in RUN.items() if found], ids=lambda p: str(p.relative_to(DOCS))
)
def test_every_runnable_block_runs_as_the_page_says(
    page: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for rego in blocks(page, "rego"):
        pack = place / "with-policy"
        shutil.copytree(place / "scenarios" / "microgrid", pack)
        name = re.search(r"^package pilothouse\.(\w+)", rego, re.MULTILINE)
        assert name is not None
        (pack / "policies" / f"{name[1]}.rego").write_text(rego)
    for block in RUN[page]:
        for line in lines_of(block):
            if line.startswith("#"):
                continue
            wanted = re.search(r"#\s*exit (\d+)$", line)
            status = call(line, monkeypatch)
            said = capsys.readouterr()
            assert status == (int(wanted[1]) if wanted else 0), f"{line}\n{said.out}{said.err}"
            for rego in blocks(page, "rego"):
                if line.startswith("pilothouse ask"):
                    rules = re.findall(r'^\t"(\w+)": \{$', rego, re.MULTILINE)
                    assert rules
                    assert all(f'.{rule}"' in said.out for rule in rules), said.out


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_on_a_page_exists_with_its_options(page: Path) -> None:
    from api.cli import COMMANDS, cli

    for line in commands(page):
        words = shlex.split(line, comments=True)[1:]
        ctx = click.Context(cli, info_name="pilothouse")
        command: click.Command = cli
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            name = words.pop(0)
            assert command is not cli or name in COMMANDS, line
            found = command.get_command(ctx, name)
            assert found is not None, f"no command {name!r}: {line}"
            command, ctx = found, click.Context(found, parent=ctx, info_name=name)
        if "--help" in words:
            continue
        given, rest, _ = command.make_parser(ctx).parse_args(words)
        assert not rest, f"{line}: too many words: {rest}"
        missing = [p.name for p in command.params if p.required and given.get(p.name) is None]
        assert not missing, f"{line}: lacks {missing}"


def slugs(page: Path) -> set[str]:
    text = FENCE.sub("", page.read_text())
    titles = re.findall(r"^#+\s+(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists() or (anchor and anchor not in slugs(file)):
            broken.append(target)
    assert not broken


def test_every_page_is_listed_by_its_shelf() -> None:
    for shelf in ("tutorial", "how-to", "reference", "explanation", "operations", "adr"):
        index = (DOCS / shelf / "README.md").read_text()
        missing = [f.name for f in (DOCS / shelf).glob("*.md")
                   if f.name != "README.md" and f"({f.name})" not in index]  # fmt: skip
        assert not missing, shelf


def test_every_command_of_the_table_is_described() -> None:
    from api.cli import COMMANDS

    titles = re.findall(r"^### `([\w-]+)`$", (DOCS / "reference/cli.md").read_text(), re.MULTILINE)
    assert sorted(titles) == sorted(COMMANDS)


def test_the_table_of_routes_is_the_application() -> None:
    from api.app import Service, make_app

    service = Service(None, None, None, lab=True)  # type: ignore[arg-type]  # no route is called
    paths = make_app(service).openapi()["paths"]
    served = {(method.upper(), path) for path, item in paths.items() for method in item}
    actual = {place: roles for place, roles in declared_roles().items() if place in served}
    assert actual.keys() == served
    text = (DOCS / "reference/http-api.md").read_text()
    table = text.split("<!-- routes:", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (GET|POST|PUT|DELETE) \| `([^`]+)` \| ([^|]+) \|", table, re.MULTILINE)
    told = {(m, path): frozenset(re.findall(r"\w+", who)) for m, path, who in rows}
    assert told == actual


def declared_roles() -> dict[tuple[str, str], frozenset[str]]:
    """By method and path: the roles that `allow` was called with; none for an open route."""
    found = {}
    for file in (ROOT / "api").glob("routes_*.py"):
        module = importlib.import_module(f"api.{file.stem}")
        for router in (module.router, getattr(module, "lab_router", None)):
            for route in router.routes if router else ():
                for method in route.methods:
                    found[method, route.path] = roles_of(route)
    return found


def roles_of(route: Any) -> frozenset[str]:
    cells = [
        cell.cell_contents
        for dependency in route.dependant.dependencies
        for cell in getattr(dependency.call, "__closure__", None) or ()
    ]
    return frozenset(name for roles in cells if isinstance(roles, tuple) for name in roles)


def test_the_table_of_checks_is_what_verify_runs() -> None:
    from datetime import UTC, datetime

    from safety.keys import lab_signer
    from safety.trust_root import make_root
    from safety.verify import verify_bundle

    root = make_root({"service": [lab_signer("s")]}, datetime(2040, 1, 1, tzinfo=UTC))
    report = verify_bundle(b"{}", root, None, False)
    text = (DOCS / "reference/bundle-and-verify.md").read_text()
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", text, re.MULTILINE)
    assert [(int(n), name) for n, name in rows] == [(c.number, c.name) for c in report.checks]


def test_every_core_rule_and_every_field_of_the_proposal_is_described() -> None:
    from graph.proposal import ControlProposal
    from safety.policy import CORE_RULES

    policies = (DOCS / "reference/policies.md").read_text()
    assert set(re.findall(r"`(core\.\w+)`", policies)) == CORE_RULES
    page = (DOCS / "reference/proposal.md").read_text()
    words = {w for code in re.findall(r"`([^`]+)`", page) for w in re.findall(r"\w+", code)}
    assert not set(ControlProposal.model_fields) - words
