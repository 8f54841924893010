"""What a verification found: every check by number and name, passed or not, and why."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from graph.errors import IntegrityError, PilothouseError
from graph.proposal import Approval, ControlProposal
from safety.bundle import Bundle

T = TypeVar("T")
NOT_REACHED = "could not be checked, because a check before it failed"


@dataclass(frozen=True)
class Check:
    """One check. `detail` says what was found, or what is wrong."""

    number: int
    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class VerifiedBundle:
    """What may be believed, parsed from the very bytes that were verified."""

    digest: str
    proposal: ControlProposal
    approvals: tuple[Approval, ...]
    persons: tuple[str, ...]
    lab: bool
    bundle: Bundle


@dataclass(frozen=True)
class VerifyReport:
    """All checks in order."""

    checks: tuple[Check, ...]
    contents: VerifiedBundle | None = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return self.contents is not None and all(check.ok for check in self.checks)

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of the checks that did not pass."""
        return tuple(check.name for check in self.checks if not check.ok)

    def detail(self, name: str) -> str:
        """What the check `name` found. Raises KeyError."""
        for check in self.checks:
            if check.name == name:
                return check.detail
        raise KeyError(name)

    def require(self) -> VerifiedBundle:
        """The verified contents. Raises IntegrityError naming every failed check."""
        if self.contents is None or not self.ok:
            failed = [f"{c.name}: {c.detail}" for c in self.checks if not c.ok]
            raise IntegrityError(f"the bundle does not verify: {'; '.join(failed)}")
        return self.contents

    def as_json(self) -> dict[str, Any]:
        """For `--json` and HTTP."""
        return {
            "ok": self.ok,
            "failures": list(self.failures),
            "digest": self.contents.digest if self.contents else None,
            "checks": [
                {"number": c.number, "name": c.name, "ok": c.ok, "detail": c.detail}
                for c in self.checks
            ],
        }


class Checklist:
    """Collects checks while they run; a check whose inputs are missing has failed."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def attempt(self, number: int, name: str, step: Callable[..., T], *needs: Any) -> T | None:
        """Run `step(*needs)`; its error is the detail of a failure. None when it failed."""
        if any(need is None for need in needs):
            self.record(number, name, False, NOT_REACHED)
            return None
        try:
            value = step(*needs)
        except PilothouseError as error:
            self.record(number, name, False, str(error))
            return None
        self.record(number, name, True, value if isinstance(value, str) else "")
        return value

    def judge(
        self,
        number: int,
        name: str,
        step: Callable[..., Sequence[str]],
        *needs: Any,
        good: str = "",
    ) -> None:
        """Run `step(*needs)`, which lists problems; none is a pass with the detail `good`."""
        if any(need is None for need in needs):
            self.record(number, name, False, NOT_REACHED)
            return
        problems = step(*needs)
        self.record(number, name, not problems, "; ".join(problems) or good)

    def record(self, number: int, name: str, ok: bool, detail: str) -> None:
        """Add a check."""
        self.checks.append(Check(number, name, ok, detail))
