"""A twin that no longer fits is identified again, tried on held-back days, and offered.

1. A confirmed error of the model, or a confirmed change of the plant, is the reason. A sensor that
   lies is none: a twin learned from it would believe it, so any sensor fault that is still there
   refuses (mend the sensor).
2. The twin is identified from the telemetry since the cause began, two weeks at least and of more
   the latest four, by the same fit as ever: structure by validation, the last days held back, the
   same verdict.
3. Old and new twin predict the same held-back days from the same starts, each with its own record
   of errors. The new one is offered when it is fit for control, somewhere better and nowhere worse.

Nothing is swapped: a `Revision` says what it would replace and why. Whoever runs the site decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from graph.errors import InputError, RefusedError
from graph.record import iso, parse_iso
from graph.telemetry import Frame
from sandbox.building.fit import LEAST_DAYS, BuildingFitOptions, fit_building, single_threaded
from sandbox.building.report import pooled_table
from sandbox.building.rows import needed_columns, prepare_rows
from sandbox.building.skill import skill_table, try_out
from sandbox.building.twin import BuildingTwin
from sandbox.model_errors import from_report
from sandbox.parameters import TwinParameters, to_space
from sandbox.residual_monitor import Confirmed
from sandbox.residual_watch import Watched

GROUNDS = ("model_error", "process_fault")
MOST_WEEKS = 4.0  # the latest: what drifted has drifted on since, and so has the season
MOVED_STD = 3.0  # standard deviations of both fits together
MOST_MOVED = 8
ALIKE = 0.05  # share by which errors may differ and count as equal: a few days tell no better


@dataclass(frozen=True)
class Revision:
    """A twin that might replace another.

    before, after: root mean square errors at 24 h on the held-back days by what is predicted
    (`zone temperatures` in K, `energy of all units` in kWh). moved: parameters whose value changed
    beyond doubt, name -> (old, new). offered: whether it should replace the old; reasons say why.
    """

    parameters: TwinParameters
    replaces: str
    why: str
    since: datetime
    before: Mapping[str, float]
    after: Mapping[str, float]
    moved: Mapping[str, tuple[float, float]]
    offered: bool
    reasons: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """As JSON, without the parameters."""
        return {
            "digest": self.parameters.digest,
            "replaces": self.replaces,
            "why": self.why,
            "fitted_on": self.parameters.fitted_on,
            "since": iso(self.since),
            "errors_24h": {
                k: {"before": self.before[k], "after": self.after[k]} for k in self.before
            },
            "moved": {n: {"before": a, "after": b} for n, (a, b) in self.moved.items()},
            "offered": self.offered,
            "reasons": list(self.reasons),
        }


def recalibrate(watched: Watched, frame: Frame) -> Revision:
    """Identify the watched twin again from `frame`, the telemetry that was watched.

    Raises:
        RefusedError: `sensor_fault`, a sensor that lies; `no_grounds`, nothing is confirmed that a
            new twin would mend.
        InputError: too little telemetry since the cause began; says how much is missing.
    """
    cause = grounds(watched)
    since = watched.began(cause) or watched.begins[0]
    used = since_then(watched.twin, frame, since)
    old = watched.twin
    # The order of the rooms' walls does not change with the use of a building or a worn machine.
    orders = tuple(sorted(set(old.structure.order.values())))
    fitted = fit_building(old.site, used, BuildingFitOptions(weeks=MOST_WEEKS, orders=orders))
    before, after = compared(old, fitted, used)
    reasons = [] if fitted.fit_for_control else list(fitted.report["reasons"])
    reasons += _against(before, after)
    good = not reasons
    return Revision(
        fitted, old.digest, cause.cause.text, since, before, after, _moved(old.parameters, fitted),
        good, tuple(reasons or fitted.report["reasons"]),
    )  # fmt: skip


def _against(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """Why the new twin's errors do not speak for it."""
    found = [
        f"{words} at 24 h: error {after[words]:.3g}, the twin in force {value:.3g}"
        for words, value in before.items()
        if not after[words] <= value * (1.0 + ALIKE)
    ]
    if not found and not any(after[w] < v * (1.0 - ALIKE) for w, v in before.items()):
        found = ["it predicts the held-back days no better than the twin in force"]
    return found


def grounds(watched: Watched) -> Confirmed:
    """The cause that asks for a new twin. Raises RefusedError; see `recalibrate`."""
    lying = [c for c in watched.present if c.cause.kind == "sensor_fault"]
    if lying:
        raise RefusedError(
            "sensor_fault",
            f"{lying[0].cause.text}: a twin fitted now would learn the sensor's error",
            "mend the sensor, or leave its days out of the telemetry",
        )
    found = [c for c in watched.present if c.cause.kind in GROUNDS]
    if not found:
        raise RefusedError(
            "no_grounds",
            "neither an error of the twin nor a change of the plant is confirmed",
            "to fit the twin anyway, run `pilothouse site fit`",
        )
    # Of several changes the latest: the twin must know the plant as it is now.
    return max(found, key=lambda c: -1 if c.since is None else c.since)


def since_then(twin: BuildingTwin, frame: Frame, since: datetime) -> Frame:
    """The rows from `since` on. Raises InputError when they are too few, with how many."""
    used = frame.window(since, frame.end)
    names = needed_columns(twin.layout)
    complete = np.all([np.isfinite(used.column(n)) for n in names], axis=0) if len(used) else []
    days = float(np.sum(complete)) * frame.step_s / 86_400
    if days < LEAST_DAYS:
        raise InputError(
            f"{days:.1f} days of complete telemetry since {since:%Y-%m-%d %H:%M}",
            f"a twin needs {LEAST_DAYS:g}: try again in {LEAST_DAYS - days:.0f} days",
        )
    return used


def compared(
    old: BuildingTwin, fitted: TwinParameters, used: Frame
) -> tuple[dict[str, float], dict[str, float]]:
    """Errors at 24 h of the old and the new twin on the new one's held-back days."""
    step = timedelta(seconds=used.step_s)
    rows = prepare_rows(old.layout, used.window(_fit_begin(fitted), used.end))
    split = round((parse_iso(fitted.fitted_on["to"]) - _fit_begin(fitted)) / step)
    with single_threaded():
        trial = try_out(old, rows, from_report(old.parameters.report), split, len(rows))
        table = pooled_table(skill_table(trial, rows, split))
    after = fitted.report["pooled_24h"]
    return {k: v["twin"] for k, v in table.items()}, {k: after[k]["twin"] for k in table}


def _fit_begin(fitted: TwinParameters) -> datetime:
    return parse_iso(fitted.fitted_on["from"])


def _moved(old: TwinParameters, new: TwinParameters) -> dict[str, tuple[float, float]]:
    """Parameters of both twins that moved by more than both fits' uncertainty lets expect."""
    far: dict[str, float] = {}
    std = [np.sqrt(np.diag(np.asarray(p.covariance))) for p in (old, new)]
    here = [to_space(p.values, p.spaces) for p in (old, new)]
    for i, name in enumerate(new.names):
        if name in old.names:
            k = old.names.index(name)
            spread = float(np.hypot(std[0][k], std[1][i]))
            far[name] = abs(here[1][i] - here[0][k]) / max(spread, 1e-12)
    most = sorted((n for n in far if far[n] > MOVED_STD), key=lambda n: -far[n])[:MOST_MOVED]
    return {n: (old.value(n), new.value(n)) for n in most}
