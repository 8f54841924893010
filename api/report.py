"""The demonstration's report: one HTML file without scripts or outside assets."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

# Grey for the plant as it is, one colour for the copilot, one for the abnormal (ISA-101).
BASELINE, COPILOT, ABNORMAL, BAND = "#7a7a7a", "#1f5fa8", "#b3261e", "#c9d8ea"


@dataclass(frozen=True)
class DaySeries:
    """Two days on the same axis: what the plant did with the copilot and without.

    times: (N,) aware; each column (N,) in the signal's unit.
    """

    times: Sequence[datetime]
    copilot: Mapping[str, NDArray[np.float64]]
    baseline: Mapping[str, NDArray[np.float64]]
    import_price: NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """One chart: which signals, and what to call them."""

    title: str
    unit: str
    signals: tuple[str, ...]
    limits: tuple[float, ...] = ()


def day_chart(series: DaySeries, panels: Sequence[Panel], zone: ZoneInfo) -> str:
    """All panels over one time axis as inline SVG; prices on top."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib import dates

    times = [t.astimezone(zone).replace(tzinfo=None) for t in series.times]
    rows = len(panels) + 1
    figure, axes = plt.subplots(
        rows, 1, figsize=(10, 1.9 * rows), sharex=True, layout="constrained"
    )
    axes[0].step(times, series.import_price, where="pre", color=BASELINE)
    axes[0].set_title("import price", loc="left", fontsize=9)
    for axis, panel in zip(axes[1:], panels, strict=True):
        for k, signal in enumerate(panel.signals):
            style = ("-", "--", ":")[k % 3]
            axis.plot(times, series.baseline[signal], color=BASELINE, lw=1, ls=style)
            axis.plot(times, series.copilot[signal], color=COPILOT, lw=1.4, ls=style)
        for limit in panel.limits:
            axis.axhline(limit, color=ABNORMAL, lw=0.7)
        axis.set_title(f"{panel.title} [{panel.unit}]", loc="left", fontsize=9)
    for axis in axes:
        axis.grid(color="#e4e4e4", lw=0.5)
        axis.tick_params(labelsize=8)
    axes[-1].xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    return _svg(figure)


def band_chart(bands: Sequence[Mapping[str, Any]], title: str) -> str:
    """Predicted 90 % bands of one signal for candidate and inaction, hours ahead."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(10, 2.6), layout="constrained")
    colours = {"baseline": (BASELINE, "#e3e3e3")}
    for band in bands:
        line, fill = colours.get(band["name"], (COPILOT, BAND))
        hours = (np.arange(len(band["q50"])) + 1) * band["step_s"] / 3600.0
        axis.fill_between(hours, band["q05"], band["q95"], color=fill, alpha=0.7, lw=0)
        axis.plot(hours, band["q50"], color=line, lw=1.4, label=band["name"])
    axis.set_title(title, loc="left", fontsize=9)
    axis.set_xlabel("hours ahead", fontsize=8)
    axis.legend(fontsize=8, frameon=False)
    axis.grid(color="#e4e4e4", lw=0.5)
    return _svg(figure)


def _svg(figure: Any) -> str:
    import matplotlib
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({"svg.hashsalt": "pilothouse"}):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def write_report(path: Path, document: Mapping[str, Any], charts: Mapping[str, str]) -> None:
    """Render the report. Every text in it is escaped; the charts are our own SVG."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
    )
    safe = {name: Markup(svg) for name, svg in charts.items()}  # noqa: S704  made by matplotlib
    html = environment.get_template("report.html.j2").render(d=document, charts=safe)
    path.write_text(html, encoding="utf-8")
