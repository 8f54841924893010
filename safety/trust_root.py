"""Whom to believe: the file `root.json` with keys, persons and roles. It never comes in a bundle.

Machines sign what they propose, apply and log; persons approve. A key that could do both would
let the service approve its own proposals, so the root refuses it.
"""

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from graph.canonical import strict_loads
from graph.errors import InputError, IntegrityError, first_error
from graph.record import Record, UtcTime
from safety.keys import PublicRecord, Signer, keyid_of, public_record, verifying_key

Role = Literal["service", "operator", "approver", "engineer", "gate", "ledger"]
MACHINE_ROLES: tuple[Role, ...] = ("service", "gate", "ledger")
PERSON_ROLES: tuple[Role, ...] = ("operator", "approver", "engineer")
MAX_ROOT_BYTES = 1024 * 1024


class TrustRoot(Record):
    """Keys by id and key ids by role, valid until `expires`."""

    version: int = Field(ge=1)
    expires: UtcTime
    keys: dict[str, PublicRecord] = Field(min_length=1)
    roles: dict[Role, tuple[str, ...]]
    plant_clock: Literal["utc", "simulated"] = Field(
        "utc", description="simulated: bundles carry a laboratory's plant time"
    )

    @model_validator(mode="after")
    def _is_sound(self) -> "TrustRoot":
        _check_material(self.keys)
        _check_roles(self.keys, self.roles)
        return self

    def keys_for(self, *roles: str) -> tuple[str, ...]:
        """Ids of the keys that hold any of `roles`."""
        return tuple(
            dict.fromkeys(k for name, ids in self.roles.items() if name in roles for k in ids)
        )

    def roles_of(self, keyid: str) -> tuple[str, ...]:
        """Roles of a key; empty for an unknown one."""
        return tuple(name for name, ids in self.roles.items() if keyid in ids)

    def person_of(self, keyid: str) -> str:
        """Whose key it is. Raises IntegrityError for an unknown key."""
        return self._record(keyid).person

    def is_lab(self, keyid: str) -> bool:
        """Whether it is a laboratory key. Raises IntegrityError for an unknown key."""
        return self._record(keyid).lab

    def public_of(self, keyid: str) -> str:
        """Public bytes in hex. Raises IntegrityError for an unknown key."""
        return self._record(keyid).public

    def verifier(self, keyid: str) -> Any:
        """securesystemslib's key object. Raises IntegrityError for an unknown key."""
        self._record(keyid)
        return self._verifiers[keyid]

    def _record(self, keyid: str) -> PublicRecord:
        if keyid not in self.keys:
            raise IntegrityError(f"the trust root knows no key {keyid[:16]}")
        return self.keys[keyid]

    @cached_property
    def _verifiers(self) -> dict[str, Any]:
        return {keyid: verifying_key(record.public) for keyid, record in self.keys.items()}


def _check_material(keys: Mapping[str, PublicRecord]) -> None:
    seen: dict[str, str] = {}
    for keyid, record in keys.items():
        if record.public in seen:
            raise ValueError(f"keys {seen[record.public]} and {keyid} are the same material")
        seen[record.public] = keyid
    for keyid, record in keys.items():
        try:
            expected = keyid_of(record.public)
        except IntegrityError as error:
            raise ValueError(error.message) from error
        if keyid != expected:
            raise ValueError(f"key {keyid} should be listed under its own id {expected}")


def _check_roles(keys: Mapping[str, PublicRecord], roles: Mapping[Role, Sequence[str]]) -> None:
    for name, ids in roles.items():
        if len(set(ids)) != len(ids):
            raise ValueError(f"role {name} lists a key twice")
        unknown = sorted(set(ids) - set(keys))
        if unknown:
            raise ValueError(f"role {name} names key {unknown[0]}, which is not listed")
    machines = {k for name in MACHINE_ROLES for k in roles.get(name, ())}
    persons = {k for name in PERSON_ROLES for k in roles.get(name, ())}
    both = sorted(machines & persons)
    if both:
        raise ValueError(f"key {both[0]} is a machine's and a person's: no machine may approve")


def distinct_persons(names: Iterable[str]) -> set[str]:
    """Names that are really different: letter case, width and spacing do not make a person."""
    folded = (unicodedata.normalize("NFKC", name).casefold() for name in names)
    return {" ".join(name.split()) for name in folded}


def make_root(
    holders: Mapping[Role, Sequence[Signer]],
    expires: datetime,
    version: int = 1,
    plant_clock: Literal["utc", "simulated"] = "utc",
) -> TrustRoot:
    """The root in which `holders` hold their roles."""
    keys = {s.keyid: public_record(s) for signers in holders.values() for s in signers}
    roles = {role: tuple(s.keyid for s in signers) for role, signers in holders.items()}
    return TrustRoot(
        version=version, expires=expires, keys=keys, roles=roles, plant_clock=plant_clock
    )


def load_root(path: Path) -> TrustRoot:
    """Read a root file.

    Raises:
        InputError: the file cannot be read, or is not a sound root; the message says where.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the trust root {path}: {error.strerror}") from error
    try:
        return TrustRoot.model_validate(strict_loads(data, MAX_ROOT_BYTES))
    except IntegrityError as error:
        raise InputError(f"{path} is not a trust root: {error.message}") from error
    except ValidationError as error:
        raise InputError(
            f"{path} is not a sound trust root: {first_error(error, 'root')}"
        ) from error


def write_root(path: Path, root: TrustRoot) -> None:
    """Write a root file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(root.model_dump_json(indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)
