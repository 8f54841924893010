"""A fit in words and figures, for people."""

from typing import Any

import numpy as np

from sandbox.parameters import TwinParameters


def fit_table(parameters: TwinParameters) -> str:
    """Parameters with their spread, errors on the held-back days beside persistence, verdict."""
    if parameters.kind == "building":
        from sandbox.building.words import building_table

        return building_table(parameters)
    std = np.sqrt(np.diag(np.asarray(parameters.covariance)))
    lines = [f"{'parameter':28s} {'value':>10s}   spread (one standard deviation)"]
    rows = zip(parameters.names, parameters.values, parameters.spaces, std, strict=True)
    for name, value, space, spread in rows:
        shown = f"× or ÷ {np.exp(spread):.3f}" if space == "log" else f"± {spread:.3g}"
        lines.append(f"{name:28s} {value:10.4g}   {shown}")
    word = "fit for control" if parameters.fit_for_control else "NOT fit for control"
    report = parameters.report
    reasons = "; ".join(parameters.report.get("reasons", []))
    skill = _skill_table(parameters.report.get("skill", []))
    said = [
        f"held-back samples inside the 90 % band {of}: "
        + ", ".join(f"{signal} {share:.0%}" for signal, share in report.get(key, {}).items())
        for key, of in (
            ("coverage_90", "of sampled futures"), ("coverage_90_parameters", "of parameters alone")
        )
        if key in report
    ]  # fmt: skip
    return "\n".join([*lines, "", skill, *said, f"{word}: {reasons}"])


def _skill_table(table: list[dict[str, Any]]) -> str:
    lines = [f"{'RMSE':24s} {'h':>4s} {'twin':>8s} {'persist.':>8s} {'day ago':>8s} {'bias':>8s}"]
    lines += [
        f"{r['signal']:24s} {r['horizon_h']:4g} {r['twin']:8.3f} {r['persistence']:8.3f} "
        f"{r['seasonal']:8.3f} {r['bias']:8.3f}"
        for r in table
    ]
    return "\n".join(lines)
