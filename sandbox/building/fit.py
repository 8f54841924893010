"""Identify a building's twin from its telemetry alone, and say honestly how good it is.

1. Take the last weeks of complete telemetry; hold back the last of them.
2. Choose each zone's order, facades and neighbours by validation inside the training rows.
3. Fit zones (thermal), units (air, capacity, power) and thermostats on all training rows.
4. Refit without each part of the training rows: its errors there are errors on days not seen, and
   become the days of model errors that futures draw from.
5. Predict the held-back days in closed loop beside persistence, seasonal naive and a linear black
   box; compare responses to setpoint steps; judge excitation and coverage; give a verdict.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from graph.canonical import digest_bytes
from graph.errors import InputError
from graph.record import iso
from graph.site import Site
from graph.telemetry import Frame
from sandbox.building.assemble import (
    Values,
    as_parameters,
    fit_law,
    fit_units,
    fit_zones,
    known_values,
    recurring_power,
)
from sandbox.building.calendar import profile_from
from sandbox.building.choose import choose_structure, scores_report
from sandbox.building.errors import centred, model_errors
from sandbox.building.infer import infer_heat
from sandbox.building.layout import building_layout
from sandbox.building.names import textbook
from sandbox.building.report import assess
from sandbox.building.rows import DAY_H, Rows, last_weeks, prepare_rows
from sandbox.building.twin import BuildingTwin
from sandbox.building.zone_fit import ZoneFit, fit_zone, make_windows
from sandbox.fit_data import frame_digest
from sandbox.model_errors import ModelErrors, join
from sandbox.parameters import TwinParameters

LEAST_DAYS = 13.5  # two weeks less what gaps and clock changes nibble off
PARTS = 3  # of the training rows, each left out once
REFIT_EVALUATIONS = 4


@dataclass(frozen=True)
class BuildingFitOptions:
    """How a fit is made.

    weeks: of complete telemetry, the last ones; None takes all. held_back_days: None takes a week
    of three or more, a quarter of less. orders: heat nodes a zone may have.
    """

    weeks: float | None = 4.0
    held_back_days: float | None = None
    warm_up_h: float = 48.0
    validation_share: float = 0.25
    stride_h: float = 6.0
    evaluations: int = 6
    orders: tuple[int, ...] = (1, 2, 3)
    seed: int = 0


@dataclass(frozen=True)
class Plan:
    """Rows by use: warm up before `first`, train to `split` (validate from `middle`), hold back."""

    first: int
    middle: int
    split: int


def fit_building(
    site: Site, frame: Frame, options: BuildingFitOptions | None = None
) -> TwinParameters:
    """Parameters of `site` from `frame`, validated on its last days.

    Raises:
        InputError: too little telemetry, or a column is missing or empty. A fit that is merely bad
            is returned with `fit_for_control` False and its reasons.
    """
    with single_threaded():
        return _fit(site, frame, options or BuildingFitOptions())


@contextmanager
def single_threaded() -> Iterator[None]:
    """BLAS on one thread: the fit's matrices are so small that threads only wait for each other.

    (Twelve seconds of processor time become a hundred on a busy machine.)
    """
    import scipy.linalg  # brings a BLAS of its own, which must be there to be limited
    from threadpoolctl import threadpool_limits

    assert scipy.linalg
    with threadpool_limits(limits=1):
        yield


def _fit(site: Site, frame: Frame, options: BuildingFitOptions) -> TwinParameters:
    """See `fit_building`."""
    layout = building_layout(site)
    used = frame if options.weeks is None else last_weeks(layout, frame, options.weeks)
    rows = prepare_rows(layout, used)
    if not layout.heat_metered:
        rows = infer_heat(rows)
    plan = _plan(rows, options)
    choice = choose_structure(rows, layout, plan.first, plan.middle, plan.split, options.orders)
    part = slice(plan.first, plan.split)
    windows = make_windows(rows, plan.first, plan.split, options.stride_h)
    fits, couplings = fit_zones(
        rows, choice.structure, windows, part, choice.fits, options.evaluations
    )
    structure, known = known_values(rows, choice.structure, fits, couplings)
    structure, spread = fit_units(rows, structure, known, part)
    # Which power recurs shows beside what the units do at night, which is the law's.
    law = fit_law(site, rows, structure, known, part)
    structure = recurring_power(site, rows, structure, known, part)
    twin = BuildingTwin(site, as_parameters(layout, structure, known))
    not_seen = join(_errors_not_seen(twin, rows, plan, options, fits))
    errors = centred(replace(not_seen, of_parameters=True))
    report = assess(twin, rows, plan.first, plan.split, errors, fits, options.seed)
    report |= {"structure": scores_report(choice), "part_rmse": spread, "law_rmse_k": law}
    return twin.parameters.model_copy(
        update={
            "report": report,
            "fitted_on": _fitted_on(site, used, rows, plan),
            "hyperparameters": _hyperparameters(options),
        }
    )


def _plan(rows: Rows, options: BuildingFitOptions) -> Plan:
    """Split the rows by days of usable telemetry. Raises InputError for less than two weeks."""
    usable = np.flatnonzero(rows.usable)
    day = rows.steps(DAY_H)
    days = len(usable) / day
    if days < LEAST_DAYS:
        raise InputError(
            f"{days:.1f} days of complete telemetry",
            "a building's twin needs two weeks or more; record more, or mend the gaps",
        )
    held = options.held_back_days
    if held is None:
        held = 7.0 if days >= 21.0 else float(max(3, int(days / 4)))
    warm = rows.steps(options.warm_up_h)
    training = len(usable) - round(held * day) - warm
    if training < 5 * day:
        raise InputError(
            f"{days:.1f} days of telemetry with {held:g} held back leave too few to train on",
            "hold back fewer days",
        )
    split = int(usable[len(usable) - round(held * day)])
    middle = int(usable[warm + round(training * (1.0 - options.validation_share))])
    return Plan(int(usable[warm]), middle, split)


def _errors_not_seen(
    twin: BuildingTwin, rows: Rows, plan: Plan, options: BuildingFitOptions,
    fits: dict[str, ZoneFit],
) -> Iterator[ModelErrors]:  # fmt: skip
    """Errors on each part of the training rows, of zones refitted without it.

    A twin's errors on days that it was fitted to are smaller than on others; those of futures must
    not be.
    """
    values = dict(zip(twin.parameters.names, twin.parameters.values, strict=True))
    guess = textbook(rows.layout, twin.structure)
    windows = make_windows(rows, plan.first, plan.split, options.stride_h * 2.0)
    for low, high in pairwise(_edges(rows, plan)):
        outside = (windows.starts + windows.length < low) | (windows.starts >= high)
        rest = replace(windows, starts=windows.starts[outside])
        usable = rows.usable.copy()
        usable[low:high] = False
        known = Values(dict(values))
        gains = {}
        for zone, fit in fits.items():
            couplings = {n: values[n] for _, n in twin.structure.neighbours(zone)}
            again = fit_zone(
                replace(rows, usable=usable), twin.structure, zone, guess | couplings, rest,
                slice(plan.first, plan.split), frozenset(couplings), None, REFIT_EVALUATIONS, 1,
                dict(zip(fit.names, fit.values.tolist(), strict=True)),
            )  # fmt: skip
            known.values |= dict(zip(again.names, again.values.tolist(), strict=True))
            gains[zone] = profile_from(again.gain)
        structure = replace(twin.structure, gains_kw=gains)
        other = BuildingTwin(twin.site, as_parameters(rows.layout, structure, known))
        yield model_errors(other, rows, low, high)


def _edges(rows: Rows, plan: Plan) -> list[int]:
    """Rows at which the training rows are parted, the inner ones at local midnight."""
    zone = rows.layout.site.zone_info
    found = [plan.first]
    for row in np.linspace(plan.first, plan.split, PARTS + 1).astype(int)[1:-1].tolist():
        local = [t.astimezone(zone) for t in rows.hours.begins[row : row + rows.steps(DAY_H) + 1]]
        found.append(row + next((k for k, t in enumerate(local) if t.hour + t.minute == 0), 0))
    return [*found, plan.split]


def _fitted_on(site: Site, frame: Frame, rows: Rows, plan: Plan) -> dict[str, Any]:
    step = timedelta(seconds=frame.step_s)
    return {
        "data": frame_digest(frame),
        "from": iso(frame.start - step),
        "to": iso(frame.start + step * (plan.split - 1)),
        "held_back_to": iso(frame.end),
        "site": site.id,
        "code": code_digest(),
        "rows": int(rows.usable.sum()),
    }


def _hyperparameters(options: BuildingFitOptions) -> dict[str, Any]:
    found = {k: getattr(options, k) for k in ("weeks", "held_back_days", "stride_h", "evaluations",
                                              "seed")}  # fmt: skip
    return found | {"orders": list(options.orders)}


def code_digest() -> str:
    """sha256 over the source of the modules that make a fit what it is."""
    folder = Path(__file__).parent
    return digest_bytes(b"".join(p.read_bytes() for p in sorted(folder.glob("*.py"))))
