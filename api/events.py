"""What happened in a decision, in order, for whoever listens: now or from the start."""

import threading
from collections.abc import Iterator
from typing import Any

from graph.record import Record


class Event(Record):
    """One step of a decision or a rollout."""

    seq: int
    kind: str
    data: dict[str, Any]


class EventLog:
    """An append-only list with waiting readers. Closed logs end their readers."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._closed = False
        self._changed = threading.Condition()

    def add(self, kind: str, **data: Any) -> None:
        """Append one event and wake the readers."""
        with self._changed:
            self._events.append(Event(seq=len(self._events), kind=kind, data=data))
            self._changed.notify_all()

    def close(self) -> None:
        """No more events will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether the log is complete."""
        return self._closed

    def since(self, seq: int, timeout_s: float) -> tuple[list[Event], bool]:
        """Events from `seq` on, waiting up to `timeout_s` for one; and whether that is all."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._events) > seq or self._closed, timeout_s)
            return self._events[seq:], self._closed

    def __iter__(self) -> Iterator[Event]:
        return iter(list(self._events))
