"""Guardrails of a stage, after Argo Rollouts' analysis fields, with two things changed: a run
that is stopped before its first sample is INCONCLUSIVE (Argo: successful), and NaN is an error.

A measurement is taken every `interval_s` of plant time. A breach becomes a failure once it has
lasted `for_s`; until then it is pending. `failure_limit` counts failures in the stage,
`inconclusive_limit` and `ERROR_LIMIT` count in a row, because a stage may last a day.

Source: Argo Rollouts, docs/features/analysis.md (failureLimit, inconclusiveLimit,
consecutiveErrorLimit).
"""

import math
from bisect import bisect_right
from datetime import datetime
from enum import StrEnum

from graph.plant import Readings
from graph.proposal import Guardrail
from graph.signals import Quality, Reading
from safety.gate.state import MetricTrack

ERROR_LIMIT = 4  # Argo's consecutiveErrorLimit


class Outcome(StrEnum):
    """What a guardrail's tally says."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"


def assess(guardrail: Guardrail, track: MetricTrack) -> Outcome:
    """The tally in one word. Without a sample it is inconclusive."""
    if track.failures > guardrail.failure_limit:
        return Outcome.FAILED
    if track.error_run:
        return Outcome.ERROR
    if track.measurements == 0 or track.inconclusive_run or track.last == "pending":
        return Outcome.INCONCLUSIVE
    return Outcome.SUCCESSFUL


def trip_reason(guardrail: Guardrail, track: MetricTrack) -> str:
    """Why this guardrail demands the rollback; empty when it does not."""
    if track.failures > guardrail.failure_limit:
        return f"guardrail:{guardrail.name}"
    if track.error_run > ERROR_LIMIT:
        return f"guardrail_error:{guardrail.name}"
    if track.inconclusive_run > guardrail.inconclusive_limit:
        return f"inconclusive:{guardrail.name}"
    return ""


def applies(guardrail: Guardrail, active: tuple[str, ...]) -> bool:
    """A guardrail that names a setpoint has a meaning only while that is being written: what must
    follow it, and a band that was predicted under it.
    """
    if guardrail.kind == "follow":
        return guardrail.point in active
    return guardrail.kind != "predicted" or guardrail.point is None or guardrail.point in active


def measure(
    guardrail: Guardrail,
    track: MetricTrack,
    readings: Readings,
    not_before: datetime,
    written: float | None,
) -> MetricTrack:
    """The tally after looking at `readings`, if a measurement is due.

    `written` is the setpoint that a follow guardrail compares with.
    """
    now = readings.time
    if track.last_at and (now - track.last_at).total_seconds() < guardrail.interval_s:
        return track
    result = _look(guardrail, readings, not_before, written)
    since = None
    if result == "breach":
        since = track.breached_since or now
        lasted = (now - since).total_seconds()
        # A stale signal has been silent for `for_s` already when it is found stale.
        over = lasted >= guardrail.for_s or guardrail.kind == "stale"
        result = "failure" if over else "pending"
    return MetricTrack(
        measurements=track.measurements + (result in ("success", "failure")),
        failures=track.failures + (result == "failure"),
        inconclusive_run=track.inconclusive_run + 1 if result == "inconclusive" else 0,
        error_run=track.error_run + 1 if result == "error" else 0,
        last_at=now,
        last=result,
        breached_since=since,
    )


def _look(
    guardrail: Guardrail, readings: Readings, not_before: datetime, written: float | None
) -> str:
    reading = readings.values.get(guardrail.signal)
    if guardrail.kind == "stale":
        return _look_stale(guardrail, reading, readings.time)
    if reading is None or reading.quality is not Quality.GOOD:
        return "inconclusive"
    if reading.value is None or not math.isfinite(reading.value):
        return "error"
    if guardrail.kind == "follow":
        if written is None or guardrail.tolerance is None:
            return "inconclusive"
        return "breach" if abs(reading.value - written) > guardrail.tolerance else "success"
    low, high = guardrail.minimum, guardrail.maximum
    if guardrail.kind == "predicted":
        low, high = _band(guardrail, (readings.time - not_before).total_seconds())
    if low is None and high is None:
        return "inconclusive"
    below = low is not None and reading.value < low
    above = high is not None and reading.value > high
    return "breach" if below or above else "success"


def _look_stale(guardrail: Guardrail, reading: Reading | None, now: datetime) -> str:
    if reading is None or reading.value is None or reading.quality is Quality.BAD:
        return "breach"
    return "breach" if (now - reading.time).total_seconds() > guardrail.for_s else "success"


def _band(guardrail: Guardrail, elapsed: float) -> tuple[float | None, float | None]:
    """The predicted band at `elapsed` seconds, linear between its times and flat outside."""
    t = guardrail.t
    if not t or len(t) != len(guardrail.low) or len(t) != len(guardrail.high):
        return None, None
    k = bisect_right(t, elapsed) - 1
    if k < 0 or k >= len(t) - 1:
        k = min(max(k, 0), len(t) - 1)
        return guardrail.low[k], guardrail.high[k]
    share = (elapsed - t[k]) / (t[k + 1] - t[k])
    low, high = guardrail.low, guardrail.high
    return low[k] + share * (low[k + 1] - low[k]), high[k] + share * (high[k + 1] - high[k])
