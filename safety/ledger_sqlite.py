"""The ledger's tables in SQLite: entries, and the hashes of complete subtrees above them.

WAL with synchronous=FULL: what was committed survives a power cut. Triggers abort UPDATE and
DELETE; they stop accidents, the hashes find intent.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graph.errors import ConflictError, InputError, IntegrityError

_BUSY_S = 10.0
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS entries (
        "index" INTEGER PRIMARY KEY CHECK ("index" >= 0),
        kind TEXT NOT NULL, body BLOB NOT NULL, leaf_hash BLOB NOT NULL) STRICT""",
    "CREATE INDEX IF NOT EXISTS entries_by_leaf ON entries (leaf_hash)",
    """CREATE TABLE IF NOT EXISTS nodes (
        level INTEGER NOT NULL CHECK (level >= 1), "index" INTEGER NOT NULL, hash BLOB NOT NULL,
        PRIMARY KEY (level, "index")) STRICT, WITHOUT ROWID""",
    *(
        f"""CREATE TRIGGER IF NOT EXISTS {table}_{verb} BEFORE {verb} ON {table}
        BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END"""
        for table in ("entries", "nodes")
        for verb in ("UPDATE", "DELETE")
    ),
)

Row = tuple[int, str, bytes, bytes]
"""index, kind, canonical body, leaf hash."""


class LedgerTables:
    """Reads and inserts; knows nothing of checkpoints. Not thread safe by itself."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open or, unless `read_only`, create. Raises InputError when it is no ledger."""
        if read_only and not path.exists():
            raise InputError(f"there is no ledger at {path}")
        try:
            self._db = _connect(path, read_only)
            if not read_only:
                for statement in _SCHEMA:
                    self._db.execute(statement)
            self.size()
        except sqlite3.Error as error:
            raise InputError(f"{path} is not a ledger: {error}") from error

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Exclude every other writer, of other processes too; commit, or roll back on an error."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise ConflictError(f"another writer holds the ledger: {error}") from error
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def size(self) -> int:
        """Number of entries."""
        (last,) = self._db.execute('SELECT max("index") FROM entries').fetchone()
        return 0 if last is None else int(last) + 1

    def insert(self, row: Row) -> None:
        """Add an entry."""
        self._db.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", row)

    def insert_node(self, level: int, index: int, value: bytes) -> None:
        """Keep the hash of a complete subtree."""
        self._db.execute("INSERT INTO nodes VALUES (?, ?, ?)", (level, index, value))

    def node(self, level: int, index: int) -> bytes:
        """Hash of a complete subtree; level 0 is a leaf. Raises IntegrityError when it is lost."""
        key: tuple[int, ...] = (index,)
        query = 'SELECT leaf_hash FROM entries WHERE "index" = ?'
        if level:
            key = (level, index)
            query = 'SELECT hash FROM nodes WHERE level = ? AND "index" = ?'
        row = self._db.execute(query, key).fetchone()
        if row is None:
            raise IntegrityError(f"the ledger has lost its node {index} of level {level}")
        return bytes(row[0])

    def row(self, index: int) -> Row | None:
        """One entry."""
        found: Row | None = self._db.execute(
            'SELECT * FROM entries WHERE "index" = ?', (index,)
        ).fetchone()
        return found

    def index_of(self, leaf: bytes) -> int | None:
        """Where a leaf hash stands first."""
        (found,) = self._db.execute(
            'SELECT min("index") FROM entries WHERE leaf_hash = ?', (leaf,)
        ).fetchone()
        return None if found is None else int(found)

    def rows(self, start: int = 0) -> Iterator[Row]:
        """Entries from `start` on, in order."""
        yield from self._db.execute(
            'SELECT * FROM entries WHERE "index" >= ? ORDER BY "index"', (start,)
        )


def _connect(path: Path, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    if not read_only:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
    return db
