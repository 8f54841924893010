"""The folder in which a service lives: root of trust, machine keys, ledger, state, proposals.

Approvers' keys are not here: they live with the approvers. A laboratory workspace is the exception,
and everything that it signs says so.
"""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from graph.clock import Clock, SystemClock
from graph.errors import InputError
from safety.keys import Signer, generate, load_signer
from safety.trust_root import (
    MACHINE_ROLES,
    PERSON_ROLES,
    Role,
    TrustRoot,
    load_root,
    make_root,
    write_root,
)

ROOT_VALID = timedelta(days=366)
PASSPHRASE_ENV = "PILOTHOUSE_PASSPHRASE"  # noqa: S105  the name of a variable
LAB_APPROVER = "laboratory key (nobody approved this)"


@dataclass(frozen=True)
class Workspace:
    """Paths and names; nothing is opened."""

    folder: Path

    @property
    def root_file(self) -> Path:
        """The root of trust."""
        return self.folder / "root.json"

    @property
    def ledger_file(self) -> Path:
        """The tamper-evident log."""
        return self.folder / "ledger.sqlite"

    @property
    def state_url(self) -> str:
        """Database of proposals' lifecycles."""
        return f"sqlite:///{self.folder / 'lifecycle.sqlite'}"

    @property
    def users_file(self) -> Path:
        """The embedded user store."""
        return self.folder / "users.sqlite"

    @property
    def proposals(self) -> Path:
        """Bundles by proposal id."""
        return self.folder / "proposals"

    @property
    def tls(self) -> Path:
        """Certificates between service and gate."""
        return self.folder / "tls"

    @property
    def gate(self) -> Path:
        """The gate's own folder: configuration, state, journal."""
        return self.folder / "gate"

    def key_file(self, name: str) -> Path:
        """A private key's file."""
        return self.folder / "keys" / f"{name}.json"

    def root(self) -> TrustRoot:
        """The root of trust. Raises InputError."""
        return load_root(self.root_file)

    def signer(self, name: str) -> Signer:
        """A private key; its passphrase comes from the environment."""
        return load_signer(self.key_file(name), os.environ.get(PASSPHRASE_ENV))


def create_workspace(folder: Path, *, lab: bool, clock: Clock | None = None) -> Workspace:
    """Make keys and root in the new or empty `folder`.

    A laboratory workspace has unsealed keys and an approver's key of its own; otherwise the machine
    keys are sealed with the passphrase from the environment and nobody can approve until a person's
    public key is added (`pilothouse keys trust`).

    Raises:
        InputError: the folder holds a workspace already, or the passphrase is missing.
    """
    workspace = Workspace(folder)
    if workspace.root_file.exists():
        raise InputError(f"{folder} is a workspace already", "choose another folder")
    passphrase = None if lab else os.environ.get(PASSPHRASE_ENV)
    if not lab and not passphrase:
        raise InputError(
            "machine keys need a passphrase", f"set {PASSPHRASE_ENV}, or pass --lab for a trial"
        )
    holders: dict[Role, list[Signer]] = {
        name: [generate(workspace.key_file(name), f"{name} of this site", passphrase, lab=lab)]
        for name in MACHINE_ROLES
    }
    if lab:
        person = generate(workspace.key_file("lab-approver"), LAB_APPROVER, None, lab=True)
        for role in PERSON_ROLES:
            holders[role] = [person]
    now: datetime = (clock or SystemClock()).now()
    clock_kind: Literal["utc", "simulated"] = "simulated" if lab else "utc"
    write_root(workspace.root_file, make_root(holders, now + ROOT_VALID, plant_clock=clock_kind))
    workspace.proposals.mkdir(parents=True, exist_ok=True)
    workspace.gate.mkdir(parents=True, exist_ok=True)
    return workspace


def open_workspace(folder: Path) -> Workspace:
    """An existing workspace. Raises InputError when there is none."""
    workspace = Workspace(folder)
    if not workspace.root_file.exists():
        raise InputError(f"{folder} is no workspace", "make one: pilothouse keys init --lab FOLDER")
    return workspace
