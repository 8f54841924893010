"""The base of all domain records: frozen, closed, finite; and what their times look like."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer


class Record(BaseModel):
    """An immutable value. Unknown fields, NaN and infinities are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def as_utc(value: datetime) -> datetime:
    """Return `value` in UTC. Raises ValueError for a time without a zone."""
    if value.tzinfo is None:
        raise ValueError("the time has no zone; write an offset, e.g. 2026-01-20T18:00:00-08:00")
    return value.astimezone(UTC)


def iso(value: datetime) -> str:
    """ISO 8601 in UTC with a Z, microseconds only when there are any."""
    return as_utc(value).isoformat().replace("+00:00", "Z")


def parse_iso(text: str) -> datetime:
    """Inverse of `iso`; accepts any offset. Raises ValueError for a time without a zone."""
    return as_utc(datetime.fromisoformat(text))


UtcTime = Annotated[
    datetime,
    AfterValidator(as_utc),
    PlainSerializer(iso, return_type=str, when_used="json"),
]


def grid(start: datetime, step_s: float, steps: int) -> list[datetime]:
    """The `steps` instants start, start + step, ... (UTC)."""
    return [start + timedelta(seconds=step_s * k) for k in range(steps)]
