"""`pilothouse site`: make a site pack, check it, identify its twin."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from api.cli import emit
from api.commands.site_import import import_telemetry
from api.commands.site_record import record_telemetry
from api.commands.site_residuals import residuals
from api.commands.site_surrogate import surrogate

if TYPE_CHECKING:
    from graph.sitepack import SitePack

FOLDER = click.argument("folder", type=click.Path(path_type=Path))
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group()
def site() -> None:
    """Site packs: a folder that declares a plant (twin-as-code)."""


site.add_command(import_telemetry)
site.add_command(record_telemetry)
site.add_command(surrogate)
site.add_command(residuals)


@site.command()
@FOLDER
@click.option("--id", "site_id", default=None, help="Id of the site; the folder's name if absent.")
@AS_JSON
def new(folder: Path, site_id: str | None, as_json: bool) -> None:
    """Write a commented pack to start from into FOLDER (which must not exist)."""
    from api.site_template import write_template

    files = write_template(folder, site_id or folder.name)
    text = "\n".join([f"wrote {f}" for f in files] + [f"next: pilothouse site validate {folder}"])
    emit({"folder": str(folder), "files": [str(f) for f in files]}, as_json, text)


@site.command()
@FOLDER
@click.option("--live", is_flag=True, help="Also read the plant once and check every point.")
@AS_JSON
def validate(folder: Path, live: bool, as_json: bool) -> None:
    """Check the pack in FOLDER; every error names file, line and field."""
    from graph.sitepack import load_site

    pack = load_site(folder)
    frame = pack.telemetry()
    checks: list[dict[str, Any]] = [
        {"check": "site.yaml", "ok": True, "detail": f"{len(pack.site.signals)} signals"},
        {
            "check": "telemetry",
            "ok": True,
            "detail": f"{len(frame)} rows to {frame.end.isoformat()}",
        },
        _twin_check(pack.folder / pack.site.twin.parameters),
        _policy_check(pack.policies),
        *_fmu_checks(pack.site, pack.folder),
        *_equation_checks(pack),
    ]
    if live:
        from api.live_check import check_live

        checks += check_live(pack.site)
    ok = all(c["ok"] for c in checks)
    lines = [f"{'ok  ' if c['ok'] else 'FAIL'} {c['check']}: {c['detail']}" for c in checks]
    emit({"ok": ok, "site": pack.site.id, "digest": pack.digest, "checks": checks}, as_json,
         "\n".join(lines))  # fmt: skip
    if not ok:
        raise SystemExit(1)


def _fmu_checks(site: Any, folder: Path) -> list[dict[str, Any]]:
    from sandbox.fmi.check import check_fmus

    return check_fmus(site, folder)


def _equation_checks(pack: "SitePack") -> list[dict[str, Any]]:
    """Whether the equations of a twin of kind `ode` can be read and fit the site's signals."""
    from api.learned_twin import drawing_board_twin
    from graph.errors import InputError
    from sandbox.twin import make_twin

    if pack.site.twin.kind != "ode":
        return []
    try:
        twin = make_twin(pack.site, drawing_board_twin(pack))
    except InputError as error:
        return [{"check": "equations", "ok": False, "detail": str(error)}]
    states, shown = len(twin.state_names), len(twin.layout.sensors)
    detail = f"{states} states, {shown} of them measured, {len(twin.parameters.names)} parameters"
    return [{"check": "equations", "ok": True, "detail": detail}]


def _policy_check(policies: Mapping[str, str]) -> dict[str, Any]:
    from graph.errors import InputError
    from safety.policy import declared_rules, with_core

    try:
        rules = declared_rules(with_core(policies))
    except InputError as error:
        return {"check": "policies", "ok": False, "detail": str(error)}
    return {"check": "policies", "ok": True, "detail": f"{len(rules)} rules"}


def _twin_check(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {
            "check": "twin",
            "ok": False,
            "detail": f"no {path.name}: run `pilothouse site fit`",
        }
    from sandbox.parameters import load_parameters

    parameters = load_parameters(path)
    verdict = "fit for control" if parameters.fit_for_control else "NOT fit for control"
    return {"check": "twin", "ok": parameters.fit_for_control, "detail": verdict}


@site.command()
@FOLDER
@click.option(
    "--from",
    "begin",
    default=None,
    help="First moment of telemetry to use (the site's zone if none).",
)
@click.option("--to", "end", default=None, help="Last moment of telemetry to use.")
@click.option(
    "--weeks",
    type=click.FloatRange(min=0.5),
    default=None,
    help="How many weeks of complete telemetry to use, the last ones (a building: 4).",
)
@AS_JSON
def fit(folder: Path, begin: str | None, end: str | None, weeks: float | None,
        as_json: bool) -> None:  # fmt: skip
    """Identify the twin of the pack in FOLDER from its telemetry and write its parameters."""
    from api.learned_twin import identify, stretch
    from graph.sitepack import load_site
    from sandbox.fit_report import fit_table
    from sandbox.parameters import save_parameters

    pack = load_site(folder)
    frame = stretch(pack, begin, end)
    # Who names the stretch means all of it.
    whole = begin is not None or end is not None
    parameters = identify(pack, frame, weeks, whole=whole)
    target = pack.folder / pack.site.twin.parameters
    save_parameters(target, parameters)
    document = {"file": str(target), "digest": parameters.digest, "report": parameters.report}
    emit(document, as_json, f"{fit_table(parameters)}\nwrote {target}")
    if not parameters.fit_for_control:
        raise SystemExit(1)
