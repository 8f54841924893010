"""One run as the worker keeps it: the inputs a guest may see, and what it handed in.

Every function checks the grant again, counts the call, and answers with a value, or with a
`Refusal` that goes back to the guest as a fault. Pure: it knows nothing of WebAssembly.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from plugins.limits import HostLimits
from plugins.patterns import matches
from plugins.submission import PointRule, Refusal, check_setpoints, plain_text


class TooManyCallsError(Exception):
    """The guest called the host more often than a run may."""


class Session:
    """State of one run. `inputs` is what `plugins.inputs.run_inputs` made, and nothing else."""

    def __init__(self, inputs: Mapping[str, Any], limits: HostLimits) -> None:
        self._inputs = inputs
        self._limits = limits
        self._rules = {p: PointRule(**r) for p, r in inputs.get("rules", {}).items()}
        self._draft: dict[str, list[float]] = {}
        self._draft_refused = ""
        self.submissions: list[dict[str, Any]] = []
        self.refusals: list[str] = []
        self.log: list[tuple[str, str]] = []
        self.log_dropped = 0
        self.calls: Counter[str] = Counter()

    def count(self, function: str) -> None:
        """Audit a call. Raises TooManyCallsError beyond the run's budget."""
        self.calls[function] += 1
        if self.calls.total() > self._limits.host_calls:
            raise TooManyCallsError(f"more than {self._limits.host_calls} host calls in one run")

    def note(self, refusal: Refusal) -> Refusal:
        """Keep a refusal for the record (the first ones; `calls` tells of a flood)."""
        if len(self.refusals) < self._limits.refusals_kept:
            self.refusals.append(refusal.message)
        return refusal

    def emit(self, severity: str, message: str) -> None:
        """log.emit"""
        if len(self.log) >= self._limits.log_lines:
            self.log_dropped += 1
        else:
            self.log.append((severity, plain_text(message, self._limits.text_chars)))

    def now(self) -> float:
        """clock.now"""
        return float(self._inputs["now"])

    def points(self) -> list[str]:
        """telemetry.points"""
        return sorted(self._inputs["units"])

    def unit(self, point: str) -> str | Refusal:
        """telemetry.unit"""
        found = self._granted("units", point, bool(point in self._rules))
        return found if isinstance(found, Refusal) else str(found)

    def latest(self, point: str) -> float | Refusal:
        """telemetry.latest"""
        return self._number("latest", point)

    def nameplate(self, name: str) -> float | Refusal:
        """telemetry.nameplate"""
        return self._number("nameplate", name)

    def history(self, point: str) -> list[float] | Refusal:
        """telemetry.history"""
        return self._column("history", point)

    def forecast(self, point: str) -> list[float] | Refusal:
        """telemetry.forecast"""
        return self._column("forecast", point)

    def limits(self, point: str) -> list[float] | Refusal:
        """telemetry.limits"""
        rule = self._rules.get(point)
        if rule is None:
            return self.note(Refusal("denied", f"{point[:80]}: outside the grant"))
        return [rule.minimum, rule.maximum, rule.least]

    def setpoints(self, point: str, unit: str, values: list[float]) -> Refusal | None:
        """submit.setpoints"""
        wrong = check_setpoints(
            point, unit, values, int(self._inputs["steps"]), self._rules.get(point)
        )
        if wrong is not None:
            self._draft_refused = self._draft_refused or wrong.message
            return self.note(wrong)
        self._draft[point] = list(values)
        return None

    def proposal(self, rationale: str, confidence: float) -> Refusal | None:
        """submit.proposal"""
        draft, refused = self._draft, self._draft_refused
        self._draft, self._draft_refused = {}, ""
        if len(self.submissions) >= self._limits.submissions:
            return self.note(
                Refusal("quota", f"more than {self._limits.submissions} proposals in one run")
            )
        if refused:
            return self.note(Refusal("invalid", f"proposal refused whole: {refused}"))
        if not draft:
            return self.note(Refusal("invalid", "proposal without a setpoint"))
        if not (math.isfinite(confidence) and 0 <= confidence <= 1):
            return self.note(Refusal("invalid", f"confidence {confidence} is not in [0, 1]"))
        text = plain_text(rationale, self._limits.text_chars)
        self.submissions.append({"points": draft, "rationale": text, "confidence": confidence})
        return None

    def _granted(self, kind: str, name: str, also: bool = False) -> Any:
        if not also and not matches(self._inputs["telemetry"], name):
            return self.note(Refusal("denied", f"{name[:80]}: outside the grant"))
        value = self._inputs[kind].get(name)
        return Refusal("not-found", f"{name[:80]}: no {kind}") if value is None else value

    def _number(self, kind: str, name: str) -> float | Refusal:
        found = self._granted(kind, name)
        return found if isinstance(found, Refusal) else float(found)

    def _column(self, kind: str, name: str) -> list[float] | Refusal:
        found = self._granted(kind, name)
        if isinstance(found, Refusal):
            return found
        return [math.nan if v is None else float(v) for v in found]
