"""Identify a site's twin from its telemetry alone, and say honestly how good it is.

1. Hold back the last week; fit on the rest.
2. Battery and heat pump by regression, rooms and tank together from multi-step errors.
3. Predict the held-back week and compare with persistence and the day before.
4. Keep the twin's own errors for futures to draw from: each third of the training days, replayed by
   a twin that was fitted without it (`model_errors`).
5. A twin that does not beat persistence is written with `fit_for_control: false` and its reasons.

`python -m sandbox.fit SITE_FOLDER` prints the table and writes the site's twin file.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graph.canonical import digest_bytes
from graph.errors import InputError, PilothouseError
from graph.record import iso
from graph.site import Site
from graph.telemetry import Frame
from sandbox.energy_hub import HubTwin
from sandbox.fit_data import FitData, frame_digest, prepare
from sandbox.fit_parts import Part, fit_auxiliary, fit_battery, fit_cop
from sandbox.fit_report import fit_table
from sandbox.fit_thermal import WARM_UP_H, Windows, fit_thermal
from sandbox.hub_errors import model_errors
from sandbox.hub_layout import hub_layout
from sandbox.model_errors import ModelErrors, join, to_report
from sandbox.parameters import (
    TwinParameters,
    covariance_rows,
    first_guess,
    save_parameters,
    spaces_of,
)
from sandbox.validation import coverage, innovations, skill_table, verdict

Array = NDArray[np.float64]
DAY_H = 24.0
PARTS = 3  # of the training days, each predicted by a twin fitted without it
REFIT_EVALUATIONS = 12  # a refit begins where the fit ended
LEAST_WINDOWS = 24  # fewer than a week of half-days say little about a building


@dataclass(frozen=True)
class FitOptions:
    """How a fit is made. Hours, except the held-back days."""

    held_back_days: int = 7
    window_h: float = 12.0
    stride_h: float = 6.0
    evaluations: int = 40


def fit(site: Site, frame: Frame, options: FitOptions | None = None) -> TwinParameters:
    """Parameters of `site` from `frame`, validated on its last days.

    Raises:
        InputError: too little telemetry, or a column is missing or empty. A fit that is merely bad
            is returned with `fit_for_control` False.
    """
    options = options or FitOptions()
    layout = hub_layout(site)
    data = prepare(layout, frame)
    split = data.rows - int(options.held_back_days * DAY_H / data.step_h)
    first = int(WARM_UP_H / data.step_h)
    if split - first < int(options.held_back_days * DAY_H / data.step_h):
        raise InputError(
            f"{data.rows * data.step_h / DAY_H:.1f} days of telemetry",
            f"expected two days and twice the {options.held_back_days} held back",
        )
    training = slice(first, split)
    guess = first_guess(layout)
    grid = frame.column(f"{layout.grid.id}.power_kw")
    parts = [
        fit_battery(data, guess, training),
        fit_cop(data, training),
        fit_auxiliary(data, grid, training),
    ]
    known = _assemble(guess, parts)
    windows = _windows(data, first, split, options)
    thermal = fit_thermal(HubTwin(site, known), data, windows, options.evaluations)
    fitted = _assemble(guess, [*parts, thermal])
    begin = (frame.start - timedelta(seconds=frame.step_s)).astimezone(site.zone_info)
    refits = _without_each_part(site, known, data, windows, thermal)
    errors = join(
        model_errors(HubTwin(site, _assemble(guess, [*parts, other])), data, begin, *rows)
        for rows, other in refits
    )
    work = _Work(frame, data, split, [*parts, thermal], options, windows, begin, errors)
    return _with_report(HubTwin(site, fitted), work)


@dataclass(frozen=True)
class _Work:
    """What the report of a fit is made of."""

    frame: Frame
    data: FitData
    split: int
    parts: list[Part]
    options: FitOptions
    windows: Windows
    begin: datetime
    errors: ModelErrors


def _without_each_part(
    site: Site, known: TwinParameters, data: FitData, windows: Windows, thermal: Part
) -> Iterator[tuple[tuple[int, int], Part]]:
    """Rooms and tank fitted once more without each part of the training days, and that part's rows.

    A twin's errors on days that it was fitted to are smaller than on others; those of futures must
    not be.
    """
    edges = np.linspace(int(windows.rows[0]), int(windows.rows[-1]) + windows.length, PARTS + 1)
    for low, high in pairwise(edges.astype(int).tolist()):
        outside = (windows.rows + windows.length < low) | (windows.rows >= high)
        rest = replace(windows, rows=windows.rows[outside])
        twin = HubTwin(site, known)
        yield (low, high), fit_thermal(twin, data, rest, REFIT_EVALUATIONS, near=thermal)


def _windows(data: FitData, first: int, last: int, options: FitOptions) -> Windows:
    length = int(options.window_h / data.step_h)
    rows = data.starts(first, last, length, max(1, int(options.stride_h / data.step_h)))
    if len(rows) < LEAST_WINDOWS:
        raise InputError(
            f"only {len(rows)} windows of {options.window_h:g} h have complete inputs",
            "record more telemetry, or mend its gaps",
        )
    return Windows(rows, length, max(1.0, options.window_h / options.stride_h))


def _assemble(guess: dict[str, float], parts: list[Part]) -> TwinParameters:
    """One record of all parts; parameters not fitted yet keep the guess and no covariance."""
    names = tuple(guess)
    values = dict(guess)
    covariance = np.zeros((len(names), len(names)))
    for part in parts:
        index = [names.index(n) for n in part.names]
        values |= dict(zip(part.names, part.values.tolist(), strict=True))
        covariance[np.ix_(index, index)] = (part.covariance + part.covariance.T) / 2.0
    return TwinParameters(
        names=names,
        values=tuple(values.values()),
        spaces=spaces_of(names),
        covariance=covariance_rows(covariance),
    )


def _with_report(twin: HubTwin, work: _Work) -> TwinParameters:
    frame, data, split, options = work.frame, work.data, work.split, work.options
    table = skill_table(twin, data, split)
    good, reasons = verdict(table)
    noise = innovations(twin, data, frame, slice(int(WARM_UP_H / data.step_h), split))
    begin, errors = work.begin, work.errors
    step = timedelta(seconds=frame.step_s)
    return twin.parameters.model_copy(
        update={
            "fitted_on": {
                "data": frame_digest(frame),
                "from": iso(frame.start - step),
                "to": iso(frame.start + step * (split - 1)),
                "held_back_to": iso(frame.end),
                "site": twin.site.id,
                "code": code_digest(),
            },
            "report": {
                "fit_for_control": good,
                "reasons": list(reasons),
                "skill": table,
                "coverage_90": coverage(twin, data, split, begin, errors),
                "coverage_90_parameters": coverage(twin, data, split, begin, None),
                "model_errors": to_report(errors),
                "windows": len(work.windows.rows),
                "part_rmse": {"+".join(p.names[:1]): p.rmse for p in work.parts},
                **noise,
            },
            "hyperparameters": {
                "held_back_days": options.held_back_days,
                "window_h": options.window_h,
                "stride_h": options.stride_h,
                "evaluations": options.evaluations,
            },
        }
    )


def code_digest() -> str:
    """sha256 over the source of the modules that make a fit what it is."""
    folder = Path(__file__).parent
    names = (
        "fit", "fit_data", "fit_parts", "fit_thermal", "hub_errors", "hub_step", "model_errors",
        "thermal", "validation",
    )  # fmt: skip
    return digest_bytes(b"".join((folder / f"{n}.py").read_bytes() for n in names))


def fit_site(folder: Path) -> tuple[TwinParameters, Path]:
    """Fit the site in `folder` and write its twin file; returns the parameters and the file.

    Raises:
        SitePackError, InputError: the pack or its telemetry is unusable.
    """
    from graph.sitepack import load_site

    pack = load_site(folder)
    parameters = fit(pack.site, pack.telemetry())
    path = pack.folder / pack.site.twin.parameters
    save_parameters(path, parameters)
    return parameters, path


def main(arguments: list[str]) -> int:
    """Command line: 0 fit for control, 1 not, 2 wrong input."""
    if len(arguments) != 1:
        print("usage: python -m sandbox.fit SITE_FOLDER", file=sys.stderr)
        return 2
    try:
        parameters, path = fit_site(Path(arguments[0]))
    except PilothouseError as error:
        print(error, file=sys.stderr)
        return 2
    print(fit_table(parameters))
    print(f"written to {path}")
    return 0 if parameters.fit_for_control else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
