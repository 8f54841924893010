"""`pilothouse keys`: signing keys and the root of trust."""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from api.cli import emit
from api.workspace import PASSPHRASE_ENV, create_workspace
from graph.errors import InputError

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group()
def keys() -> None:
    """Signing keys and the root of trust (root.json).

    A passphrase is read from the environment variable PILOTHOUSE_PASSPHRASE, or asked for.
    """


@keys.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--lab", is_flag=True, help="Unsealed keys and an approver's key, for trials only.")
@AS_JSON
def init(folder: Path, lab: bool, as_json: bool) -> None:
    """Make a workspace in FOLDER: machine keys and a root of trust."""
    workspace = create_workspace(folder, lab=lab)
    document = {"folder": str(folder), "root": str(workspace.root_file), "lab": lab}
    emit(document, as_json, f"wrote {workspace.root_file}" + (" (laboratory keys)" if lab else ""))


@keys.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--person", required=True, help="Whose key it is.")
@AS_JSON
def new(file: Path, person: str, as_json: bool) -> None:
    """Make a person's key in FILE. It stays with the person; only its public half is shared."""
    from safety.keys import generate

    signer = generate(file, person, passphrase(confirm=True))
    document = {"file": str(file), "keyid": signer.keyid, "public": signer.public, "person": person}
    emit(document, as_json, f"{signer.keyid}\npublic: {signer.public}")


@keys.command()
@click.argument("root", type=click.Path(exists=True, path_type=Path))
@click.option("--public", required=True, help="The public key in hex, as `keys new` printed it.")
@click.option("--person", required=True)
@click.option("--role", "roles", multiple=True, required=True,
              type=click.Choice(["operator", "approver", "engineer"]))  # fmt: skip
@AS_JSON
def trust(root: Path, public: str, person: str, roles: tuple[str, ...], as_json: bool) -> None:
    """Add a person's public key to ROOT (a new version of the file)."""
    from safety.keys import PublicRecord, keyid_of
    from safety.trust_root import load_root, write_root

    old = load_root(root)
    keyid = keyid_of(public)
    listed = {**old.keys, keyid: PublicRecord(public=public, person=person)}
    held: dict[str, tuple[str, ...]] = {str(k): v for k, v in old.roles.items()}
    for role in roles:
        held[role] = tuple(dict.fromkeys((*held.get(role, ()), keyid)))
    document = old.model_dump()
    document.update(version=old.version + 1, keys=listed, roles=held)
    new_root = type(old).model_validate(document)
    write_root(root, new_root)
    emit({"root": str(root), "version": new_root.version, "keyid": keyid}, as_json,
         f"{root}: version {new_root.version}, {person} may act as {', '.join(roles)}")  # fmt: skip


@keys.command()
@click.argument("root", type=click.Path(exists=True, path_type=Path))
@AS_JSON
def show(root: Path, as_json: bool) -> None:
    """List the keys of ROOT, whose they are and what they may do."""
    from safety.trust_root import load_root

    found = load_root(root)
    listed = dict(found.keys)
    rows: list[dict[str, Any]] = [
        {"keyid": k, "person": r.person, "lab": r.lab, "roles": list(found.roles_of(k))}
        for k, r in listed.items()
    ]
    lines = [f"version {found.version}, until {found.expires.date()}"]
    if found.expires - datetime.now(UTC) < timedelta(days=30):
        lines.append("it expires within a month")
    lines += [
        f"{r['keyid'][:16]}  {r['person']}: {', '.join(r['roles'])}"
        + (" [laboratory]" if r["lab"] else "")
        for r in rows
    ]
    emit({"version": found.version, "keys": rows}, as_json, "\n".join(lines))


def passphrase(*, confirm: bool = False) -> str:
    """From the environment, or typed in. Raises InputError without either."""
    given = os.environ.get(PASSPHRASE_ENV)
    if given:
        return given
    if not sys.stdin.isatty():
        raise InputError("a passphrase is needed", f"set {PASSPHRASE_ENV}")
    typed: str = click.prompt("passphrase", hide_input=True, confirmation_prompt=confirm)
    return typed
