"""Proposals' events in a database: SQLite by default, PostgreSQL by URL.

`append` does everything in one transaction that writes first (BEGIN IMMEDIATE on SQLite):

1. the projection's version is compared with the expected one, and a difference is a conflict;
2. the event is checked against the state that the projection holds;
3. event, projection and outgoing messages are written; all of them or none.

The primary key (proposal, version) holds on a database whose transactions run side by side: of
two that read the same version one fails at its insert and reports the conflict too.
Messages are delivered at least once and carry an idempotency key; the receiver counts each once.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import IntegrityError as DuplicateKeyError

from graph.canonical import canonical_bytes
from graph.errors import ConflictError, InputError, RefusedError
from graph.record import iso
from safety.lifecycle import Event, Message, Standing, State, advance, overdue, replay

_META = sql.MetaData()
_EVENTS = sql.Table(
    "lifecycle_events", _META,
    sql.Column("proposal_id", sql.String(200), primary_key=True),
    sql.Column("version", sql.Integer, primary_key=True),
    sql.Column("event", sql.Text, nullable=False),
)  # fmt: skip
_STANDINGS = sql.Table(
    "lifecycle_standings", _META,
    sql.Column("proposal_id", sql.String(200), primary_key=True),
    sql.Column("version", sql.Integer, nullable=False),
    sql.Column("state", sql.String(20), nullable=False, index=True),
    sql.Column("standing", sql.Text, nullable=False),
)  # fmt: skip
_OUTBOX = sql.Table(
    "lifecycle_outbox", _META,
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("key", sql.String(200), nullable=False, unique=True),
    sql.Column("proposal_id", sql.String(200), nullable=False),
    sql.Column("message", sql.Text, nullable=False),
    sql.Column("delivered_at", sql.String(40), nullable=True, index=True),
)  # fmt: skip
BUSY_S = 30.0  # how long a writer waits for another one's transaction


class LifecycleStore:
    """All proposals' lives in one database; safe for several threads and processes."""

    def __init__(self, url: str) -> None:
        """Open `url`, e.g. `sqlite:////var/lib/pilothouse/lifecycle.db`; makes missing tables.

        Raises:
            InputError: SQLAlchemy cannot make an engine of the URL.
        """
        try:
            self._engine = sql.create_engine(url, **_options(url))
        except (sql.exc.ArgumentError, sql.exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise InputError(
                f"unusable database URL: {type(error).__name__}", "e.g. sqlite:///lifecycle.db"
            ) from error
        if self._engine.dialect.name == "sqlite":
            sql.event.listen(self._engine, "connect", _prepare_sqlite)
            sql.event.listen(self._engine, "begin", _begin)
        self._writer = self._engine.execution_options(writes=True)
        with self._writer.begin() as connection:
            _META.create_all(connection)

    def append(self, proposal_id: str, expected_version: int, event: Event) -> Standing:
        """Add `event` if the proposal stands at `expected_version` (0: it does not exist yet).

        Raises:
            ConflictError: somebody else was first, or a message's key was used before.
            RefusedError: the event is not allowed now; see `lifecycle.advance`.
        """
        with self._writing(proposal_id) as connection:
            standing = _standing(connection, proposal_id)
            if standing.version != expected_version:
                raise ConflictError(
                    f"proposal {proposal_id} is at version {standing.version}, "
                    f"not {expected_version}",
                    "read it again; somebody else was first",
                )
            after = advance(standing, event)
            _write(connection, proposal_id, after, event)
        return after

    def standing(self, proposal_id: str) -> Standing:
        """Where it stands now; version 0 and no state for one that nobody drafted."""
        with self._engine.connect() as connection:
            return _standing(connection, proposal_id)

    def standings(self) -> tuple[Standing, ...]:
        """All proposals, by id."""
        rows = sql.select(_STANDINGS.c.standing).order_by(_STANDINGS.c.proposal_id)
        with self._engine.connect() as connection:
            return tuple(Standing.model_validate_json(r[0]) for r in connection.execute(rows))

    def events(self, proposal_id: str) -> tuple[Event, ...]:
        """Its events, oldest first."""
        with self._engine.connect() as connection:
            return _events(connection, proposal_id)

    def expire_overdue(self, now: datetime, actor: str = "deadline") -> tuple[str, ...]:
        """Expire whatever waited past its deadline; returns the ids. Races lose harmlessly."""
        expired = []
        for standing in self.standings():
            if not overdue(standing, now):
                continue
            event = Event(
                to=State.EXPIRED, at=now, actor=actor, reason="nobody decided before the deadline"
            )
            try:
                self.append(standing.proposal_id, standing.version, event)
            except (ConflictError, RefusedError):
                continue  # decided in the meantime
            expired.append(standing.proposal_id)
        return tuple(expired)

    def undelivered(self, limit: int = 100) -> tuple[Message, ...]:
        """Messages that wait, in the order in which they were written."""
        rows = (
            sql.select(_OUTBOX.c.message)
            .where(_OUTBOX.c.delivered_at.is_(None))
            .order_by(_OUTBOX.c.number)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return tuple(Message.model_validate_json(r[0]) for r in connection.execute(rows))

    def delivered(self, key: str, now: datetime) -> None:
        """Note that the receiver has the message; a second time changes nothing."""
        change = (
            sql.update(_OUTBOX)
            .where(_OUTBOX.c.key == key, _OUTBOX.c.delivered_at.is_(None))
            .values(delivered_at=iso(now))
        )
        with self._writer.begin() as connection:
            connection.execute(change)

    def rebuild(self) -> tuple[Standing, ...]:
        """Throw the projection away and make it again from the events; returns it."""
        with self._writer.begin() as connection:
            ids = sql.select(_EVENTS.c.proposal_id).distinct().order_by(_EVENTS.c.proposal_id)
            names = [row[0] for row in connection.execute(ids)]
            connection.execute(sql.delete(_STANDINGS))
            found = tuple(replay(name, _events(connection, name)) for name in names)
            for standing in found:
                connection.execute(sql.insert(_STANDINGS).values(**_row(standing)))
        return found

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    @contextmanager
    def _writing(self, proposal_id: str) -> Iterator[sql.Connection]:
        try:
            with self._writer.begin() as connection:
                yield connection
        except DuplicateKeyError as error:
            raise ConflictError(
                f"proposal {proposal_id}: the version or a message's key exists already",
                "read it again; somebody else was first",
            ) from error


def _write(connection: sql.Connection, proposal_id: str, after: Standing, event: Event) -> None:
    connection.execute(
        sql.insert(_EVENTS).values(
            proposal_id=proposal_id, version=after.version, event=_text(event)
        )
    )
    if after.version == 1:
        connection.execute(sql.insert(_STANDINGS).values(**_row(after)))
    else:
        change = sql.update(_STANDINGS).where(
            _STANDINGS.c.proposal_id == proposal_id, _STANDINGS.c.version == after.version - 1
        )
        if connection.execute(change.values(**_row(after))).rowcount != 1:
            raise ConflictError(f"proposal {proposal_id} moved on", "read it again")
    for message in event.messages:
        connection.execute(
            sql.insert(_OUTBOX).values(
                key=message.key, proposal_id=proposal_id, message=_text(message)
            )
        )


def _text(record: Event | Message | Standing) -> str:
    return canonical_bytes(record).decode()


def _row(standing: Standing) -> dict[str, Any]:
    return {
        "proposal_id": standing.proposal_id,
        "version": standing.version,
        "state": str(standing.state),
        "standing": _text(standing),
    }


def _standing(connection: sql.Connection, proposal_id: str) -> Standing:
    query = sql.select(_STANDINGS.c.standing).where(_STANDINGS.c.proposal_id == proposal_id)
    row = connection.execute(query).first()
    if row is None:
        return Standing(proposal_id=proposal_id)
    return Standing.model_validate(json.loads(row[0]))


def _events(connection: sql.Connection, proposal_id: str) -> tuple[Event, ...]:
    query = (
        sql.select(_EVENTS.c.event)
        .where(_EVENTS.c.proposal_id == proposal_id)
        .order_by(_EVENTS.c.version)
    )
    return tuple(Event.model_validate_json(row[0]) for row in connection.execute(query))


def _options(url: str) -> dict[str, Any]:
    if not url.startswith("sqlite"):
        return {"pool_pre_ping": True}
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_S, "check_same_thread": False}}
    if url in ("sqlite://", "sqlite:///:memory:"):
        options["poolclass"] = sql.pool.StaticPool  # else each connection has a database of its own
    return options


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: the driver's comes too late
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin(connection: sql.Connection) -> None:
    # A transaction that reads first and writes later could find that another one wrote between.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
