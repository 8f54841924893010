"""The plugins of a workspace: `plugins/<name>@<version>/` with component, signed manifest, grant.

Nothing there is believed because of where it lies. Signatures, digest and grant are checked when a
plugin is installed, when it is listed, and again before it runs, against the root of that moment.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from api.workspace import Workspace
from graph.canonical import canonical_bytes, strict_loads
from graph.clock import Clock, SystemClock
from graph.errors import InputError, IntegrityError, RefusedError, first_error
from graph.record import iso
from plugins.admission import OpenManifest, admit
from plugins.host import PluginHost
from plugins.limits import HostLimits
from plugins.manifest import Grant, PluginManifest, grant_all
from plugins.signatures import trusted_by
from safety.trust_root import TrustRoot

COMPONENT, ENVELOPE, GRANT = "component.wasm", "manifest.dsse.json", "grant.json"
MAX_JSON_BYTES = 64 << 10


@dataclass(frozen=True)
class Stored:
    """One plugin whose checks hold: what it is, what it may, who signed it."""

    manifest: PluginManifest
    grant: Grant
    persons: tuple[str, ...]
    envelope: Mapping[str, Any]
    component: bytes


def persons_needed(root: TrustRoot) -> int:
    """How many engineers must have signed a plugin: two, but one where every key is a
    laboratory's."""
    return 1 if all(record.lab for record in root.keys.values()) else 2


def trust_of(workspace: Workspace, clock: Clock | None = None) -> OpenManifest:
    """What the workspace's root of trust believes now.

    Raises:
        InputError: there is no sound root.
        RefusedError: reason "root_expired".
    """
    root = workspace.root()
    if (clock or SystemClock()).now() >= root.expires:
        raise RefusedError("root_expired", f"the root of trust expired at {iso(root.expires)}")
    return trusted_by(root, persons_needed(root))


def install_plugin(
    workspace: Workspace, folder: Path, grant: Grant | None = None, *, replace: bool = False
) -> Stored:
    """Check the signed plugin in `folder` from outside and inside, then copy it into the workspace.

    1. Enough engineers of the root have signed its manifest, and 2. everything else that `admit`
    demands holds. 3. It loads in a process of its own and says its own name. 4. That version is
    not there yet (or `replace`). Only then a complete copy appears under its name.

    Args:
        grant: what it may; None grants what it asks for.

    Raises:
        InputError: a file is missing, or the version is there already.
        IntegrityError: signatures do not hold or are too few.
        RefusedError: what else was not right.
    """
    trust, limits = trust_of(workspace), HostLimits()
    envelope = _json(folder / ENVELOPE, "sign it: pilothouse plugin sign")
    component = _component(folder, limits)
    given = grant or _whole_grant(trust(envelope).predicate)  # 1
    stored = _admitted(envelope, component, given, trust, limits)  # 2
    with PluginHost(trust, limits) as host:
        host.install(envelope, component, given)  # 3
    _place(workspace.folder / "plugins" / stored.manifest.id, stored, replace)  # 4
    return stored


def load_plugin(folder: Path, trust: OpenManifest, limits: HostLimits) -> Stored:
    """An installed plugin, checked again. Raises like `install_plugin`."""
    envelope = _json(folder / ENVELOPE, "install it again")
    grant = read_grant(folder / GRANT)
    component = _bytes(folder / COMPONENT, limits.component_bytes)
    stored = _admitted(envelope, component, grant, trust, limits)
    if stored.manifest.id != folder.name:
        raise RefusedError("name", f"{folder} holds {stored.manifest.id}")
    return stored


def installed(workspace: Workspace) -> list[Path]:
    """Folders of all installed versions, oldest first within a name."""
    found = [p for p in (workspace.folder / "plugins").glob("[a-z]*@*") if p.is_dir()]
    return sorted(found, key=lambda p: (p.name.split("@")[0], _version(p)))


def newest(workspace: Workspace) -> dict[str, Path]:
    """By name the folder of the highest version: the one that is asked for advice."""
    return {folder.name.split("@")[0]: folder for folder in installed(workspace)}


def read_grant(path: Path) -> Grant:
    """A grant from its file. Raises InputError naming the field."""
    try:
        return Grant.model_validate(_json(path, "a grant is a JSON object"))
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error, 'grant')}") from error


def _admitted(
    envelope: Mapping[str, Any], component: bytes, grant: Grant, trust: OpenManifest,
    limits: HostLimits,
) -> Stored:  # fmt: skip
    manifest = admit(envelope, component, grant, trust, limits)
    return Stored(manifest, grant, tuple(sorted(trust(envelope).persons)), envelope, component)


def _whole_grant(predicate: Mapping[str, Any]) -> Grant:
    try:
        return grant_all(PluginManifest.model_validate(dict(predicate)))
    except ValidationError:  # `admit` says which field is wrong
        return Grant(component="sha256:" + "0" * 64)


def _place(target: Path, stored: Stored, replace: bool) -> None:
    if target.exists() and not replace:
        raise InputError(
            f"{stored.manifest.id} is installed already",
            "raise its version, or say --replace to put this build and grant in its place",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_name(f".{target.name}.{os.getpid()}.new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    (made / COMPONENT).write_bytes(stored.component)
    (made / ENVELOPE).write_bytes(canonical_bytes(dict(stored.envelope)))
    (made / GRANT).write_text(stored.grant.model_dump_json(indent=2) + "\n", encoding="utf-8")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    made.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _component(folder: Path, limits: HostLimits) -> bytes:
    found = sorted(folder.glob("*.wasm"))
    if len(found) != 1:
        raise InputError(f"{folder} holds {len(found)} files *.wasm, expected one component")
    return _bytes(found[0], limits.component_bytes)


def _json(path: Path, hint: str) -> dict[str, Any]:
    try:
        document = strict_loads(_bytes(path, MAX_JSON_BYTES), MAX_JSON_BYTES)
    except IntegrityError as error:
        raise InputError(f"{path}: {error.message}", hint) from error
    except InputError as error:
        raise InputError(error.message, hint) from error
    if not isinstance(document, dict):
        raise InputError(f"{path} holds no JSON object", hint)
    return document


def _bytes(path: Path, most: int) -> bytes:
    """Up to one byte more than `most`: enough for the check that follows to see that it is more."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _version(folder: Path) -> tuple[int, ...]:
    parts = folder.name.partition("@")[2].split(".")
    return tuple(int(p) if p.isdigit() else -1 for p in parts)
