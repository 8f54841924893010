"""The append-only ledger: what was proposed, approved and applied, in an RFC 6962 tree.

After each append the tree's root is signed and the note is kept in a file outside the database.
A ledger that is smaller than its last note, or that does not begin with what the note signed, is
refused when it is opened.
"""

import logging
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from graph.canonical import canonical_bytes, strict_loads
from graph.errors import InputError, IntegrityError
from safety.checkpoint import Checkpoint, check_origin, sign_checkpoint, verify_checkpoint
from safety.keys import Signer
from safety.ledger_audit import audit, checkpoint_path, leaf_of, read_checkpoint, require_sound
from safety.ledger_sqlite import LedgerTables
from safety.merkle import consistency_path, inclusion_path, read_range

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One entry as it was appended."""

    index: int
    kind: str
    body: dict[str, Any]


class Ledger:
    """A ledger that this process may append to. Thread safe; other processes take turns.

    Opening recomputes every hash from the bodies (about 5 µs an entry) and raises IntegrityError
    when they are not what the last checkpoint signed.
    """

    def __init__(
        self, path: Path, origin: str, signer: Signer, checkpoint_file: Path | None = None
    ) -> None:
        self.path = path
        self.origin = check_origin(origin)
        self.checkpoint_file = checkpoint_file or checkpoint_path(path)
        self._signer = signer
        self._lock = threading.RLock()
        fresh = not path.exists()
        if fresh and self.checkpoint_file.exists():
            self._refuse_lost_database()
        self._tables = LedgerTables(path)
        try:
            self._open()
        except BaseException:
            self._tables.close()
            raise

    def append(self, kind: str, body: Mapping[str, Any]) -> int:
        """Append one entry and sign the new root; durable when it returns. Returns its index."""
        return self.append_all([(kind, body)])[0]

    def append_all(self, entries: Iterable[tuple[str, Mapping[str, Any]]]) -> list[int]:
        """Append several entries in one transaction, all or none. Returns their indices.

        Raises:
            IntegrityError: a body has no canonical form.
            ConflictError: another process kept the ledger locked for ten seconds.
        """
        texts = [(kind, canonical_bytes(dict(body))) for kind, body in entries]
        if any(not kind for kind, _ in texts):
            raise InputError("an entry of the ledger needs a kind")
        with self._lock:
            with self._tables.write_lock():
                first = self._tables.size()
                tree = read_range(self._tables.node, first)
                for kind, body in texts:
                    leaf = leaf_of(kind, body.decode("utf-8"))
                    self._tables.insert((tree.size, kind, body, leaf))
                    for node in tree.push(leaf):
                        self._tables.insert_node(*node)
            self._keep_checkpoint()
        return list(range(first, first + len(texts)))

    def __len__(self) -> int:
        with self._lock:
            return self._tables.size()

    def entry(self, index: int) -> Entry:
        """The entry at `index`. Raises IndexError."""
        with self._lock:
            row = self._tables.row(index)
        if row is None:
            raise IndexError(f"the ledger has no entry {index}")
        return Entry(row[0], row[1], strict_loads(row[2]))

    def entries(self, start: int = 0, kind: str | None = None) -> list[Entry]:
        """Entries from `start` on, of one kind or of all."""
        with self._lock:
            rows = [r for r in self._tables.rows(start) if kind in (None, r[1])]
        return [Entry(r[0], r[1], strict_loads(r[2])) for r in rows]

    def find(self, kind: str, body: Mapping[str, Any]) -> int | None:
        """Index of the first entry with this kind and body."""
        leaf = leaf_of(kind, canonical_bytes(dict(body)).decode("utf-8"))
        with self._lock:
            return self._tables.index_of(leaf)

    def checkpoint(self) -> str:
        """The last signed checkpoint (C2SP note); it covers every entry appended so far."""
        with self._lock:
            return self._keep_checkpoint()

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Proof that entry `index` is in the tree of the first `size` entries (default: all)."""
        with self._lock:
            return inclusion_path(self._tables.node, index, self._limit(size))

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Proof that the tree of `new` entries (default: all) begins with that of `old`."""
        with self._lock:
            return consistency_path(self._tables.node, old, self._limit(new))

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._tables.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _limit(self, size: int | None) -> int:
        held = self._tables.size()
        if size is None:
            return held
        if size > held:
            raise IndexError(f"the ledger holds {held} entries, fewer than {size}")
        return size

    def _open(self) -> None:
        with self._tables.write_lock():
            if not self._tables.size() and not self.checkpoint_file.exists():
                self._write_checkpoint()  # an empty ledger, signed: from now on it can only grow
                return
            last = self._last_checkpoint()
            report = audit(self._tables, last)
            require_sound(report, self.path)
            if report.entries > last.size:
                # A crash between commit and checkpoint leaves this; so would an intruder.
                _log.warning(
                    "entries %d to %d of the ledger %s stand after its last signed checkpoint",
                    last.size,
                    report.entries - 1,
                    self.path,
                )

    def _last_checkpoint(self) -> Checkpoint:
        last = verify_checkpoint(
            read_checkpoint(self.checkpoint_file), [self._signer.public]
        ).checkpoint
        if last.origin != self.origin:
            raise IntegrityError(
                f"{self.checkpoint_file} belongs to the ledger {last.origin}, not {self.origin}"
            )
        return last

    def _refuse_lost_database(self) -> None:
        last = self._last_checkpoint()
        if last.size:
            raise IntegrityError(
                f"the ledger {self.path} is gone, and its last signed checkpoint counts "
                f"{last.size} entries",
                "restore the database; do not start a new one under the same name",
            )

    def _keep_checkpoint(self) -> str:
        # Under the write lock, after the commit: the file never runs ahead of the database, and
        # of two processes the later one writes the larger tree.
        with self._tables.write_lock():
            return self._write_checkpoint()

    def _write_checkpoint(self) -> str:
        tree = read_range(self._tables.node, self._tables.size())
        note = sign_checkpoint(Checkpoint(self.origin, tree.size, tree.root()), self._signer)
        if not self.checkpoint_file.exists() or read_checkpoint(self.checkpoint_file) != note:
            _replace_durably(self.checkpoint_file, note.encode("utf-8"))
        return note


def _replace_durably(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    if os.name == "posix":  # the rename itself must survive a power cut too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
