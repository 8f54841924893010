"""Identify a site's twin from its telemetry alone, and say honestly how good it is.

1. Hold back the last week; fit on the rest.
2. Battery and heat pump by regression, rooms and tank together from multi-step errors.
3. Predict the held-back week and compare with persistence and the day before.
4. A twin that does not beat persistence is written with `fit_for_control: false` and its reasons.

`python -m sandbox.fit SITE_FOLDER` prints the table and writes the site's twin file.
"""

import sys
from dataclasses import dataclass
from datetime import timedelta
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
from sandbox.hub_layout import hub_layout
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
    parts.append(fit_thermal(HubTwin(site, known), data, windows, options.evaluations))
    fitted = _assemble(guess, parts)
    return _with_report(HubTwin(site, fitted), frame, data, split, parts, options, windows)


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


def _with_report(
    twin: HubTwin,
    frame: Frame,
    data: FitData,
    split: int,
    parts: list[Part],
    options: FitOptions,
    windows: Windows,
) -> TwinParameters:
    table = skill_table(twin, data, split)
    good, reasons = verdict(table)
    noise = innovations(twin, data, frame, slice(int(WARM_UP_H / data.step_h), split))
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
                "coverage_90": coverage(twin, data, split),
                "windows": len(windows.rows),
                "part_rmse": {"+".join(p.names[:1]): p.rmse for p in parts},
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
    names = ("fit", "fit_data", "fit_parts", "fit_thermal", "hub_step", "thermal", "validation")
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
