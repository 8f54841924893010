"""What a submitted trajectory must be. Pure, and free of heavy imports: the worker asks here to
answer the guest, and the parent asks again because it does not trust the worker.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PointRule:
    """What holds for one granted setpoint in this run."""

    unit: str
    minimum: float
    maximum: float
    least: float = 0.0  # least value above zero; 0 where any is allowed
    held_by: str = ""  # the person who holds the point, if somebody does


@dataclass(frozen=True)
class Refusal:
    """Why something was not taken. `code` is one of the world's fault codes."""

    code: str
    message: str


def check_setpoints(
    point: str, unit: str, values: Sequence[float], steps: int, rule: PointRule | None
) -> Refusal | None:
    """None when the trajectory may be tried, else the first thing that is wrong with it.

    1. The point is granted. 2. Nobody holds it. 3. The unit is the point's own. 4. One value a
    step. 5. Each is finite. 6. Each lies in the range. 7. Each is zero or at least `rule.least`.
    """
    shown = point[:80]
    if rule is None:
        return Refusal("denied", f"{shown}: outside the grant")
    if rule.held_by:
        return Refusal("denied", f"{shown}: held by {rule.held_by}")
    if unit != rule.unit:
        return Refusal("invalid", f"{shown}: unit {unit[:20]!r}, expected {rule.unit!r}")
    if len(values) != steps:
        return Refusal("invalid", f"{shown}: {len(values)} values, expected {steps}, one a step")
    for k, value in enumerate(values):
        if not math.isfinite(value):
            return Refusal("invalid", f"{shown}: {value} at step {k} is not a finite number")
        if not rule.minimum <= value <= rule.maximum:
            return Refusal(
                "invalid",
                f"{shown}: {value:g} {rule.unit} at step {k} is outside "
                f"[{rule.minimum:g}, {rule.maximum:g}]",
            )
        if 0 < value < rule.least:
            return Refusal(
                "invalid",
                f"{shown}: {value:g} {rule.unit} at step {k} is neither 0 nor at least "
                f"{rule.least:g}",
            )
    return None


def plain_text(text: str, limit: int) -> str:
    """`text` on one line, without control characters, cut to `limit`. It is shown, never obeyed."""
    return "".join(c if c.isprintable() else " " for c in text[: 2 * limit]).strip()[:limit]
