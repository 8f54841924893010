"""The base of all domain records: frozen, closed, finite; and what their times look like."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer


class Record(BaseModel):
    """An immutable value. Unknown fields, NaN and infinities are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; what the original had worked out of its fields (a digest) is worked out anew."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied


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
