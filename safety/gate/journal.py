"""The gate's own record: every report a signed statement, one a line, each naming the one before.

Lines are only added. A last line that a crash cut short is dropped when the file is opened.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graph.canonical import digest_bytes
from graph.proposal import APPLIED_TYPE
from graph.record import Record, UtcTime
from safety.gate.commands import Alarm, Report
from safety.keys import Signer

log = logging.getLogger(__name__)


class AppliedState(Record):
    """The predicate `applied-state/v1`: what the gate did or saw."""

    index: int
    gate_id: str
    kind: str
    at: UtcTime
    proposal_digest: str | None
    epoch: int
    detail: dict[str, Any]
    previous: str


class Journal:
    """An append-only file of signed statements."""

    def __init__(self, path: Path, gate_id: str, config_digest: str, signer: Signer) -> None:
        self._path, self._gate_id, self._signer = path, gate_id, signer
        self._config_digest = config_digest
        self._offsets: list[int] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self._previous = self._index()

    def append(self, item: Report | Alarm, epoch: int) -> int:
        """Sign and add one item; returns its index."""
        from safety.signing import sign_statement

        kind, detail, about = "alarm", {}, None
        if isinstance(item, Alarm):
            detail = item.model_dump(mode="json", exclude={"at"})
        else:
            kind, detail, about = item.kind, item.detail, item.proposal_digest
        predicate = AppliedState(
            index=len(self._offsets), gate_id=self._gate_id, kind=kind, at=item.at,
            proposal_digest=about, epoch=epoch, detail=detail, previous=self._previous,
        )  # fmt: skip
        subjects = {"gate-config": self._config_digest}
        if about:
            subjects["proposal"] = about
        envelope = sign_statement(APPLIED_TYPE, subjects, predicate, self._signer)
        line = json.dumps(envelope, separators=(",", ":"), sort_keys=True).encode() + b"\n"
        self._offsets.append(self._file.seek(0, 2))
        self._file.write(line)
        self._file.flush()
        self._previous = digest_bytes(line)
        return len(self._offsets) - 1

    def since(self, index: int, most: int = 1000) -> list[Mapping[str, Any]]:
        """Envelopes from `index` on, oldest first, at most `most`."""
        if not 0 <= index < len(self._offsets):
            return []
        with self._path.open("rb") as file:
            file.seek(self._offsets[index])
            count = min(most, len(self._offsets) - index)
            return [json.loads(file.readline()) for _ in range(count)]

    def __len__(self) -> int:
        return len(self._offsets)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _index(self) -> str:
        previous, at = "", 0
        self._file.seek(0)
        for line in self._file:
            if not line.endswith(b"\n"):
                log.warning("%s: dropped a last line that was cut short", self._path)
                self._file.truncate(at)
                break
            self._offsets.append(at)
            previous, at = digest_bytes(line), at + len(line)
        return previous
