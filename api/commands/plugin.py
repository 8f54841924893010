"""`pilothouse plugin`: write, build, try, sign, install and list WebAssembly plugins."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from api.cli import emit
from graph.errors import InputError, PilothouseError, UnavailableError

if TYPE_CHECKING:
    from safety.keys import Signer

FOLDER = click.argument("folder", type=click.Path(path_type=Path))
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
WORKSPACE = click.option("--workspace", "workspace_folder", required=True,
                         type=click.Path(path_type=Path), help="The service's folder.")  # fmt: skip


@click.group()
def plugin() -> None:
    """WebAssembly plugins: they advise on setpoints and can do nothing else."""


@plugin.command()
@FOLDER
@click.option("--lang", required=True, help="c or wat.")
@click.option("--name", default=None, help="The plugin's name; the folder's if absent.")
@click.option("--author", default=None, help="Shown beside its plans; the login name if absent.")
@AS_JSON
def new(folder: Path, lang: str, name: str | None, author: str | None, as_json: bool) -> None:
    """Write a small working plugin into FOLDER (which must not exist) and build it."""
    from api.plugin_project import build as build_plugin
    from api.plugin_project import write_project

    author = author or os.environ.get("USER") or "unknown author"
    files = write_project(folder, lang, name or folder.resolve().name, author)
    component, not_built = None, ""
    try:
        component = build_plugin(folder).manifest.component
        files = sorted(folder.iterdir())
    except UnavailableError as error:  # the source is good without its compiler, too
        not_built = str(error)
    document = {"folder": str(folder), "files": [str(f) for f in files], "component": component,
                "not_built": not_built}  # fmt: skip
    lines = [f"wrote {f}" for f in files]
    if component:
        lines.append(f"next: pilothouse plugin test {folder}")
    else:
        lines += [f"not built: {not_built}", f"next: pilothouse plugin build {folder}"]
    emit(document, as_json, "\n".join(lines))


@plugin.command()
@FOLDER
@AS_JSON
def build(folder: Path, as_json: bool) -> None:
    """Build the component in FOLDER and put its digest into the manifest."""
    from api.plugin_project import build as build_plugin

    manifest = build_plugin(folder).manifest
    document = {"plugin": manifest.id, "component": manifest.component}
    emit(document, as_json, f"built {manifest.id}: {manifest.component}")


@plugin.command()
@FOLDER
@click.option("--site", "site_folder", type=click.Path(exists=True, path_type=Path), default=None,
              help="Site pack with telemetry; the demonstration's if absent.")  # fmt: skip
@click.option("--at", default=None, help="When (default: the end of the pack's telemetry).")
@click.option("--hours", default=24.0, show_default=True, type=click.FloatRange(0.25, 48.0))
@click.option("--seed", default=0, show_default=True)
@AS_JSON
def test(
    folder: Path, site_folder: Path | None, at: str | None, hours: float, seed: int, as_json: bool
) -> None:
    """Run the plugin in FOLDER once on recorded telemetry, with everything granted that it asks.

    Needs no signature. Says what it asked for, what it used and what it proposes.
    """
    from api.plugin_rehearsal import recorded_snapshot, rehearse, run_document, run_text
    from api.sites import DEMO_SITE
    from plugins.outcome import Outcome
    from plugins.package import read_package

    package = read_package(folder)
    site, snapshot = recorded_snapshot(site_folder or DEMO_SITE, at, hours)
    run = rehearse(package, snapshot, site, seed)
    asks, when = package.manifest.asks, snapshot.as_of.astimezone(site.zone_info).isoformat()
    head = f"{run.plugin} on {site.id} at {when}, {snapshot.horizon_steps} steps"
    emit(run_document(asks, run, snapshot), as_json, f"{head}\n{run_text(asks, run, site)}")
    if run.outcome not in (Outcome.OK, Outcome.DECLINED):
        raise SystemExit(1)


@plugin.command()
@FOLDER
@click.option("--key", "key_files", multiple=True, required=True,
              type=click.Path(path_type=Path), help="A person's key; may be repeated.")  # fmt: skip
@AS_JSON
def sign(folder: Path, key_files: tuple[Path, ...], as_json: bool) -> None:
    """Show what the plugin in FOLDER asks for, and sign it with your own key.

    The signature goes into manifest.dsse.json, beside those of others about the same manifest, so
    the second person can sign at another place and time.
    """
    from api.plugin_project import ENVELOPE, sign_package
    from api.plugin_rehearsal import asks_text
    from plugins.package import read_package
    from plugins.submission import plain_text

    manifest = read_package(folder).manifest
    about = plain_text(f"{manifest.author}: {manifest.summary}", 500)  # a stranger's words
    click.echo(f"{manifest.id} by {about}", err=True)
    click.echo(f"{manifest.component}\n{asks_text(manifest.asks)}", err=True)
    signers = [signer_of(file) for file in key_files]
    envelope = sign_package(folder, *signers)
    target = folder / ENVELOPE
    target.write_text(json.dumps(envelope, indent=2) + "\n", encoding="utf-8")
    names, count = [s.person for s in signers], len(envelope["signatures"])
    document = {
        "file": str(target), "plugin": manifest.id, "component": manifest.component,
        "signed_by": names, "signatures": count,
    }  # fmt: skip
    text = f"signed {manifest.id} by {', '.join(names)}; signatures now: {count}"
    emit(document, as_json, text)


def signer_of(file: Path) -> "Signer":
    """The key in `file`; asks for a passphrase where it is sealed. Raises InputError."""
    from api.commands.keys import passphrase
    from safety.keys import load_signer

    if not file.is_file():
        raise InputError(f"there is no key file {file}", "make one: pilothouse keys new")
    try:
        return load_signer(file, None)
    except InputError:  # sealed
        return load_signer(file, passphrase())


@plugin.command()
@FOLDER
@WORKSPACE
@click.option("--grant", "grant_file", type=click.Path(exists=True, path_type=Path), default=None,
              help="Grant less than it asks for; everything if absent.")  # fmt: skip
@click.option("--replace", is_flag=True, help="Put it in the place of the same version.")
@AS_JSON
def install(
    folder: Path, workspace_folder: Path, grant_file: Path | None, replace: bool, as_json: bool
) -> None:
    """Verify the signed plugin in FOLDER against the workspace's root and copy it there.

    Two engineers must have signed it; one is enough where all keys are a laboratory's.
    """
    from api.installed_plugins import install_plugin, read_grant
    from api.workspace import open_workspace

    workspace = open_workspace(workspace_folder)
    grant = read_grant(grant_file) if grant_file else None
    stored = install_plugin(workspace, folder, grant, replace=replace)
    row = _row(stored.manifest.id, stored)
    emit(row, as_json, f"installed {_line(row)}")


@plugin.command(name="list")
@WORKSPACE
@AS_JSON
def list_(workspace_folder: Path, as_json: bool) -> None:
    """List the installed plugins; each is verified again. The highest version of a name runs."""
    from api.installed_plugins import installed, load_plugin, newest, trust_of
    from api.workspace import open_workspace
    from plugins.limits import HostLimits

    workspace = open_workspace(workspace_folder)
    trust, running = trust_of(workspace), set(newest(workspace).values())
    rows = []
    for folder in installed(workspace):
        try:
            row = _row(folder.name, load_plugin(folder, trust, HostLimits()))
        except PilothouseError as error:
            row = {"plugin": folder.name, "ok": False, "detail": str(error)}
        rows.append(row | {"runs": row["ok"] and folder in running})
    lines = [
        ("runs  " if r["runs"] else "older " if r["ok"] else "FAIL  ") + _line(r) for r in rows
    ]
    emit({"plugins": rows}, as_json, "\n".join(lines) or "no plugin is installed")
    if not all(r["ok"] for r in rows):
        raise SystemExit(1)


def _row(name: str, stored: Any) -> dict[str, Any]:
    return {
        "plugin": name,
        "ok": True,
        "detail": "",
        "author": stored.manifest.author,
        "summary": stored.manifest.summary,
        "component": stored.manifest.component,
        "signed_by": list(stored.persons),
        "grant": stored.grant.model_dump(mode="json"),
    }


def _standing(row: dict[str, Any]) -> str:
    return "runs " if row["runs"] else "older" if row["ok"] else "FAIL "


def _line(row: dict[str, Any]) -> str:
    if not row["ok"]:
        return f"{row['plugin']}: {row['detail']}"
    grant = row["grant"]
    return (
        f"{row['plugin']}: signed by {', '.join(row['signed_by'])}; may read "
        f"{', '.join(grant['telemetry']) or 'nothing'}, propose for "
        f"{', '.join(grant['points']) or 'nothing'}"
    )
