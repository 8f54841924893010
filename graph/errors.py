"""One family of errors. Each says what, what was got, what was expected, and the next step.

Arguments are positional so that an error survives pickling across processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


def first_error(error: ValidationError, whole: str = "document") -> str:
    """`field: reason` of the first error, `whole: reason` when it is about no single field."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or whole
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


class PilothouseError(Exception):
    """Base of every error that this project raises on purpose."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InputError(PilothouseError):
    """A user's input is unusable: wrong value, unit, time or name."""


class SitePackError(InputError):
    """A site pack is wrong at a place that can be named."""

    def __init__(
        self, message: str, hint: str = "", file: str = "", line: int = 0, field: str = ""
    ) -> None:
        super().__init__(message, hint)
        # Exception pickling calls __init__ with self.args: keep them complete.
        self.args = (message, hint, file, line, field)
        self.file, self.line, self.field = file, line, field

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        at = f"{where}: {self.field}: " if self.field else f"{where}: " if where else ""
        return at + super().__str__()


class MisplacedError(ValueError):
    """Raised inside validators: says at which place below the validated record it is wrong."""

    def __init__(self, message: str, place: tuple[str | int, ...], hint: str = "") -> None:
        super().__init__(message, place, hint)
        self.message, self.place, self.hint = message, place, hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class IntegrityError(PilothouseError):
    """Something signed, hashed or logged is not what it claims to be."""


class RefusedError(PilothouseError):
    """A request is well formed and not allowed: role, mode, approval, guard, lease or limit."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.args = (reason, message, hint)
        self.reason = reason  # a short stable name such as "expired" or "replayed"

    def __str__(self) -> str:
        return f"{self.reason}: {super().__str__()}"


class ConflictError(PilothouseError):
    """Somebody else changed the thing first (expected version does not match)."""


class UnavailableError(PilothouseError):
    """A part that is needed is not reachable or not installed."""
