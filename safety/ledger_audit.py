"""Does a ledger still say what it said? Recompute everything from the bodies."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from graph.canonical_writer import canonical_text, object_text
from graph.errors import IntegrityError, PilothouseError
from safety.checkpoint import Checkpoint, ledger_keys, verify_checkpoint
from safety.ledger_sqlite import LedgerTables
from safety.merkle import EMPTY_ROOT, CompactRange, leaf_hash
from safety.trust_root import TrustRoot

MAX_FAILURES = 100  # enough to see the pattern of a damage


@dataclass(frozen=True)
class LedgerReport:
    """What an audit found. `root` is the hash over the entries as they are now."""

    entries: int
    root: str
    checkpoint_size: int | None
    failures: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.failures


def leaf_of(kind: str, body: str) -> bytes:
    """Leaf hash of an entry: canonical {"body": ..., "kind": ...}; `body` is canonical text."""
    return leaf_hash(object_text({"body": body, "kind": canonical_text(kind)}).encode("utf-8"))


def checkpoint_path(ledger: Path) -> Path:
    """Where a ledger keeps its last signed checkpoint unless told otherwise."""
    return ledger.with_name(ledger.name + ".checkpoint")


def verify_ledger(path: Path, checkpoint_file: Path, root: TrustRoot) -> LedgerReport:
    """Audit the ledger at `path` against its last signed checkpoint. Opens it read-only.

    1. The checkpoint is signed by a ledger key of the trust root.
    2. Entries are numbered without a gap.
    3. Every entry's leaf hash follows from its kind and body.
    4. Every kept subtree hash follows from the leaves.
    5. The ledger holds at least the checkpoint's entries.
    6. The tree over the checkpoint's first entries has the checkpoint's root hash.

    What an audit of one machine cannot see: ledger and checkpoint both put back from the same old
    backup. Give checkpoints to somebody else for that.

    Raises:
        InputError: there is no ledger at `path`.
    """
    failures: list[str] = []
    checkpoint: Checkpoint | None = None
    try:  # 1
        note = read_checkpoint(checkpoint_file)
        checkpoint = verify_checkpoint(note, ledger_keys(root)).checkpoint
    except PilothouseError as error:
        failures.append(error.message)
    tables = LedgerTables(path, read_only=True)
    try:
        report = audit(tables, checkpoint)
    finally:
        tables.close()
    return LedgerReport(
        report.entries, report.root, report.checkpoint_size, (*failures, *report.failures)
    )


def read_checkpoint(path: Path) -> str:
    """The note in `path`. Raises IntegrityError when there is none."""
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise IntegrityError(
            f"the ledger's last signed checkpoint {path} cannot be read",
            "without it nobody can tell whether the ledger was cut or rewritten; restore it",
        ) from error


def audit(tables: LedgerTables, checkpoint: Checkpoint | None) -> LedgerReport:
    """Steps 2 to 6 of `verify_ledger`. O(entries), about 5 µs each."""
    failures: list[str] = []
    tree, at_checkpoint = CompactRange(), None
    try:
        for index, kind, body, stored in tables.rows():
            if checkpoint is not None and tree.size == checkpoint.size:
                at_checkpoint = tree.root()
            failures += _check_entry(tables, tree, index, kind, body, stored)
            if index != tree.size - 1 or len(failures) >= MAX_FAILURES:
                break
    except (sqlite3.Error, UnicodeDecodeError) as error:
        failures.append(f"entry {tree.size} cannot be read: {error}")
    if checkpoint is not None:
        if tree.size == checkpoint.size:
            at_checkpoint = tree.root()
        failures += _compare(tree, at_checkpoint, checkpoint, bool(failures))
    return LedgerReport(
        tree.size,
        tree.root().hex(),
        None if checkpoint is None else checkpoint.size,
        tuple(failures[:MAX_FAILURES]),
    )


def _check_entry(
    tables: LedgerTables, tree: CompactRange, index: int, kind: str, body: bytes, stored: bytes
) -> list[str]:
    if index != tree.size:  # 2
        return [f"entry {tree.size} is missing"]
    failures = []
    leaf = leaf_of(kind, body.decode("utf-8"))
    if leaf != stored:  # 3
        failures.append(f"entry {index} ({kind}) does not match its leaf hash: it was altered")
    for level, at, value in tree.push(leaf):  # 4
        kept = _kept(tables, level, at)
        if kept != value and not failures:
            first, last = at << level, ((at + 1) << level) - 1
            word = "lost" if kept is None else "wrong"
            failures.append(f"the hash kept over entries {first} to {last} is {word}")
    return failures


def _kept(tables: LedgerTables, level: int, index: int) -> bytes | None:
    try:
        return tables.node(level, index)
    except IntegrityError:
        return None


def _compare(
    tree: CompactRange, at_checkpoint: bytes | None, checkpoint: Checkpoint, broken: bool
) -> list[str]:
    if checkpoint.size == 0 and checkpoint.root == EMPTY_ROOT:
        return []
    if at_checkpoint is None:  # 5
        return [
            f"the ledger holds {tree.size} readable entries, fewer than the {checkpoint.size} of "
            "its last signed checkpoint: it was cut or put back from an old copy"
        ]
    if at_checkpoint != checkpoint.root and not broken:  # 6
        return [
            f"the first {checkpoint.size} entries do not have the root hash that was signed: "
            "the ledger was rewritten or forked"
        ]
    return []


def require_sound(report: LedgerReport, path: Path) -> None:
    """Raise IntegrityError with the report's first failures."""
    if not report.ok:
        raise IntegrityError(
            f"the ledger {path} is not what was signed: {'; '.join(report.failures[:3])}",
            "stop writing, keep the files, compare with a copy",
        )
