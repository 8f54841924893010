"""Where the twin is known to differ from the plant: it is part of every proposal."""

from sandbox.twin import Twin


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
    return tuple(lines)
