"""Where the twin is known to differ from the plant: it is part of every proposal."""

from typing import Any

from sandbox.calibration import correction_of
from sandbox.twin import Twin

SHOWN = 0.05  # the stated probability whose corrected value is told


def fidelity_gaps(twin: Twin) -> tuple[str, ...]:
    """Structural gaps, and the errors that the identification measured on held-back data."""
    report = twin.parameters.report
    lines = list(twin.structure_gaps)
    if not twin.parameters.fit_for_control:
        lines.append("the twin has NOT passed its validation on held-back data")
        lines += [f"identification: {reason}" for reason in report.get("reasons", ())]
    lines += [
        f"its 90 % bands held {share:.0%} of the held-back samples of {signal}"
        for signal, share in sorted(report.get("coverage_90", {}).items())
        if share < 0.9
    ]
    return (*lines, calibration_limit(report))


def calibration_limit(report: dict[str, Any]) -> str:
    """What comparing stated probabilities with this plant's days has shown, in one sentence."""
    found = report.get("calibration")
    if not found:
        return "its probabilities have not been compared with what happened at this plant"
    means = correction_of(report).probability(SHOWN)
    held = ", ".join(f"{share:.0%} of {k}" for k, share in sorted(found["inside_90"].items()))
    return (
        f"its probabilities were compared with {found['test_days']} days of this plant: a stated "
        f"{SHOWN:.0%} counts as {means:.1%}, and 90 % intervals held {held}"
    )
