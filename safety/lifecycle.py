"""The life of a proposal: states, the events that lead between them, and nothing that does I/O.

A proposal's history is a list of events; its state is what they add up to. A deadline that passes
means expired, never approved; a rollout needs an approval before it; and what is closed stays so.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import Field

from graph.errors import RefusedError
from graph.record import Record, UtcTime


class State(StrEnum):
    """Where a proposal stands."""

    DRAFTED = "drafted"
    SHADOWED = "shadowed"
    CANARIED = "canaried"
    COMPLIANT = "compliant"
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOID = "void"
    ROLLING_OUT = "rolling_out"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    CLOSED = "closed"


_OPEN = {State.REJECTED, State.EXPIRED, State.VOID}

# From each state, where one event may lead. Expired and void can befall whatever is not yet
# rolling out; a rollout ends promoted, rolled back or replaced; a promoted one can be taken back.
ALLOWED: dict[State | None, frozenset[State]] = {
    None: frozenset({State.DRAFTED}),
    State.DRAFTED: frozenset({State.SHADOWED, *_OPEN}),
    State.SHADOWED: frozenset({State.CANARIED, *_OPEN}),
    State.CANARIED: frozenset({State.COMPLIANT, *_OPEN}),
    State.COMPLIANT: frozenset({State.PENDING, *_OPEN}),
    State.PENDING: frozenset({State.APPROVED, *_OPEN}),
    State.APPROVED: frozenset({State.ROLLING_OUT, State.EXPIRED, State.VOID}),
    # A newer plan under the same leave may replace one that is still rolling out.
    State.ROLLING_OUT: frozenset({State.PROMOTED, State.ROLLED_BACK, State.CLOSED}),
    State.PROMOTED: frozenset({State.ROLLED_BACK, State.CLOSED}),
    State.ROLLED_BACK: frozenset({State.CLOSED}),
    State.REJECTED: frozenset({State.CLOSED}),
    State.EXPIRED: frozenset({State.CLOSED}),
    State.VOID: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}


class Message(Record):
    """Something to be delivered because of an event, at least once; `key` makes it count once."""

    key: str = Field(min_length=1, description="idempotency key, unique over all messages")
    kind: str = Field(description="order, abort, notify, ...")
    body: dict[str, Any] = Field(default_factory=dict)


class Event(Record):
    """One step in the life of a proposal."""

    to: State
    at: UtcTime
    actor: str
    reason: str = ""
    deadline: UtcTime | None = Field(None, description="with `pending`: decide by then")
    body: dict[str, Any] = Field(default_factory=dict)
    messages: tuple[Message, ...] = ()


class Standing(Record):
    """What a proposal's events add up to. `version` counts them."""

    proposal_id: str
    version: int = 0
    state: State | None = None
    deadline: UtcTime | None = None
    changed: UtcTime | None = None
    by: str = ""
    reason: str = ""

    @property
    def open(self) -> bool:
        """Whether anything can still happen to it."""
        return bool(ALLOWED[self.state])


def advance(standing: Standing, event: Event) -> Standing:
    """The standing after `event`.

    Raises:
        RefusedError: `transition`: the table does not allow it. `order`: the event is older than
            the last one. `deadline`: an approval at or after the deadline, a pending state
            without one, or an expiry before it. `body`: the event has no actor.
    """
    state = standing.state
    if event.to not in ALLOWED[state]:
        allowed = ", ".join(sorted(ALLOWED[state])) or "nothing"
        raise RefusedError(
            "transition",
            f"proposal {standing.proposal_id} is {state or 'unknown'} and cannot become {event.to}",
            f"possible from here: {allowed}",
        )
    if not event.actor:
        raise RefusedError("body", f"an event of proposal {standing.proposal_id} has no actor")
    if standing.changed is not None and event.at < standing.changed:
        raise RefusedError("order", f"proposal {standing.proposal_id}: time runs back")
    _check_deadline(standing, event)
    return Standing(
        proposal_id=standing.proposal_id,
        version=standing.version + 1,
        state=event.to,
        deadline=event.deadline if event.to is State.PENDING else standing.deadline,
        changed=event.at,
        by=event.actor,
        reason=event.reason,
    )


def _check_deadline(standing: Standing, event: Event) -> None:
    name, deadline = standing.proposal_id, standing.deadline
    if event.to is State.PENDING and (event.deadline is None or event.deadline <= event.at):
        raise RefusedError(
            "deadline", f"proposal {name} needs a deadline in the future to wait for"
        )
    if event.to is State.APPROVED and (deadline is None or event.at >= deadline):
        raise RefusedError("deadline", f"proposal {name}: the time to decide has passed")


def overdue(standing: Standing, now: UtcTime) -> bool:
    """Whether it waits for a decision whose deadline has passed: the caller appends `expired`."""
    return (
        standing.state is State.PENDING
        and standing.deadline is not None
        and now >= standing.deadline
    )


def replay(proposal_id: str, events: Iterable[Event]) -> Standing:
    """What `events`, oldest first, add up to. Raises RefusedError as `advance` does."""
    standing = Standing(proposal_id=proposal_id)
    for event in events:
        standing = advance(standing, event)
    return standing
