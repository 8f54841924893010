"""Where the twin is known to differ from the plant: it is part of every proposal."""

from sandbox.energy_hub import HubTwin

STRUCTURE = (
    "the twin's tank is one node: stratification is not represented",
    "the twin's rooms have two heat nodes each: layers of walls are lumped",
    "the twin's heat pump has a COP that is affine in two temperatures: no part load, no defrost",
    "the twin's battery has one constant efficiency: no voltage curve, no ageing",
)


def fidelity_gaps(twin: HubTwin) -> tuple[str, ...]:
    """Structural gaps, and the errors that the identification measured on held-back data."""
    report = twin.parameters.report
    lines = list(STRUCTURE)
    if not twin.parameters.fit_for_control:
        lines.append("the twin has NOT passed its validation on held-back data")
        lines += [f"identification: {reason}" for reason in report.get("reasons", ())]
    lines += [
        f"its 90 % bands held {share:.0%} of the held-back samples of {signal}"
        for signal, share in sorted(report.get("coverage_90", {}).items())
        if share < 0.9
    ]
    return tuple(lines)
