"""What `bench calibration` found, in words, as JSON and as a picture."""

from pathlib import Path
from typing import Any

import numpy as np

from api.bench_calibration import Findings
from sandbox.calibration import LEVEL, Reliability


def table_text(found: Reliability) -> str:
    """The reliability table."""
    lines = [f"{'stated':>14}{'cases':>8}{'days':>6}{'mean':>8}{'happened':>10}   95 % interval"]
    lines += [
        f"{f'{b.low:g} to {b.high:g}':>14}{b.cases:8}{b.days:6}{b.stated:8.3f}"
        f"{b.happened.value:10.3f}   {b.happened.low:.3f} to {b.happened.high:.3f}"
        for b in found.bins
    ]
    return "\n".join(lines)


def text_of(found: Findings) -> str:
    """Everything, for a terminal."""
    head = (
        f"{found.site}: {found.test_days} test days from {found.first_test_day} on, "
        f"corrections from {found.calibration_days} days before"
    )
    kept = found.correction
    said = (
        f"correction kept with the twin: logit p' = {kept.bend.intercept:+.3f} "
        f"+ {kept.bend.low:.3f} ln p - {kept.bend.high:.3f} ln(1 - p); intervals times "
        + ", ".join(f"{v:.2f} ({k})" for k, v in kept.stretch.items())
    )
    parts = [
        head, "", "as stated", table_text(found.raw), "", "corrected", table_text(found.corrected),
        "", *(v.text() for v in found.verdicts()), "", said,
    ]  # fmt: skip
    return "\n".join(parts)


def document_of(found: Findings) -> dict[str, Any]:
    """Everything, as JSON."""

    def table(rows: Reliability) -> list[dict[str, Any]]:
        return [
            {
                "low": b.low, "high": b.high, "cases": b.cases, "days": b.days, "stated": b.stated,
                "happened": b.happened.value, "happened_low": b.happened.low,
                "happened_high": b.happened.high,
            }
            for b in rows.bins
        ]  # fmt: skip

    return {
        "site": found.site,
        "test_days": found.test_days,
        "calibration_days": found.calibration_days,
        "as_stated": table(found.raw),
        "as_stated_everywhere": {what: table(rows) for what, rows in found.everywhere.items()},
        "corrected": table(found.corrected),
        "figures": [v.row() for v in found.verdicts()],
        "correction": found.report(),
    }


def draw_plot(found: Findings, path: Path) -> None:
    """Reliability diagram, coverage of the intervals and ranks of the actual values, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2))
    left.plot([0, 1], [0, 1], color="0.7", lw=1)
    for rows, word, colour in (
        (found.raw, "as stated", "C1"),
        (found.corrected, "corrected", "C0"),
    ):
        x = [b.stated for b in rows.bins]
        y = np.array([b.happened.value for b in rows.bins])
        low = np.array([b.happened.low for b in rows.bins])
        high = np.array([b.happened.high for b in rows.bins])
        bars = np.clip([y - low, high - y], 0.0, None)
        left.errorbar(x, y, yerr=bars, fmt="o-", ms=4, lw=1, capsize=2, color=colour, label=word)
    left.set(xlabel="stated probability", ylabel="share that happened", xlim=(0, 1), ylim=(0, 1))
    left.set_title(f"{found.site}: {found.test_days} days, 95 % intervals over days", fontsize=9)
    left.legend(fontsize=8)
    labels, k = [], 0
    for name in found.intervals:
        for word, table in (("as stated", found.raw_intervals), ("corrected", found.intervals)):
            inside = table[name].inside
            bars = np.clip([[inside.value - inside.low], [inside.high - inside.value]], 0.0, None)
            middle.errorbar([k], [inside.value], yerr=bars, fmt="o", capsize=3, color="C0")
            labels.append(f"{name}\n{word}")
            k += 1
    middle.axhline(LEVEL, color="0.7", lw=1)
    middle.set_xticks(range(k), labels, fontsize=8)
    middle.set(ylim=(0, 1.02), xlim=(-0.5, k - 0.5))
    middle.set_title("share of days inside the 90 % interval", fontsize=9)
    for name, ranks in found.ranks.items():
        right.hist(ranks, bins=np.linspace(0, 1, 11), histtype="step", density=True, label=name)
    right.axhline(1.0, color="0.7", lw=1)
    right.set(xlabel="rank of the actual among the futures", xlim=(0, 1))
    right.set_title("uniform if calibrated (as stated)", fontsize=9)
    right.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
