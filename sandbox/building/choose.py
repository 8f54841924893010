"""The structure of a building's model by validation on days inside the training rows.

1. Every zone with one, two and three heat nodes, fitted without the last days of training; the
   error over whole windows on those days decides, and the smaller order wins where they are level.
2. Facades and neighbours on which the record says nothing are left out where that costs nothing.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.building.layout import BuildingLayout
from sandbox.building.names import textbook
from sandbox.building.parameters import all_pairs
from sandbox.building.rows import Rows
from sandbox.building.structure import FACADES, Structure, pair_name
from sandbox.building.zone_fit import FitWindows, ZoneFit, fit_zone, make_windows
from sandbox.building.zone_linear import ZoneLinear

Array = NDArray[np.float64]
SEARCH_STRIDE_H = 9.0  # windows of the search; the final fit has more
SCORE_STRIDE_H = 3.0
EVALUATIONS = 6
ROUNDS = 2
LEVEL = 0.02  # orders whose errors differ by less are level
UNTOLD = 0.9  # posterior to prior spread beyond which the record says nothing of a parameter
MAY_COST = 0.01


@dataclass(frozen=True)
class Choice:
    """The structure, the zones' fits in it, and the scores (K) by zone and order."""

    structure: Structure
    fits: dict[str, ZoneFit]
    scores: dict[str, dict[str, float]]


@dataclass(frozen=True)
class _Search:
    rows: Rows
    layout: BuildingLayout
    train: FitWindows
    judge: FitWindows
    part: slice


def choose_structure(
    rows: Rows, layout: BuildingLayout, first: int, middle: int, split: int,
    orders: tuple[int, ...],
) -> Choice:  # fmt: skip
    """Fit on rows [first, middle), judge on [middle, split)."""
    search = _Search(
        rows, layout, make_windows(rows, first, middle, SEARCH_STRIDE_H),
        make_windows(rows, middle, split, SCORE_STRIDE_H), slice(first, middle),
    )  # fmt: skip
    pairs = all_pairs(layout)
    facades: dict[str, tuple[str, ...]] = {z.id: FACADES for z in layout.zones}
    fits: dict[str, ZoneFit] = {}
    scores: dict[str, dict[str, float]] = {}
    order: dict[str, int] = {}
    for zone in facades:
        tried = _orders(search, zone, facades, pairs, orders)
        scores[zone] = {str(k): round(f.score, 4) for k, f in tried.items()}
        best = min(f.score for f in tried.values())
        order[zone] = min(k for k, f in tried.items() if f.score <= best * (1.0 + LEVEL))
        fits[zone] = tried[order[zone]]
    whole = Structure(order=order, facades=facades, pairs=pairs)
    return _pruned(search, Choice(whole, fits, scores))


def _orders(
    search: _Search, zone: str, facades: dict[str, tuple[str, ...]],
    pairs: tuple[tuple[str, str], ...], orders: tuple[int, ...],
) -> dict[int, ZoneFit]:  # fmt: skip
    """The zone's fit at each order; a larger one starts from the smaller one's solution."""
    found: dict[int, ZoneFit] = {}
    near: dict[str, float] = {}
    for k in sorted(orders):
        structure = Structure(order=dict.fromkeys(facades, k), facades=facades, pairs=pairs)
        found[k] = _fit(search, structure, zone, near)
        # One node lumps air and mass: its capacity is no start for the air of two.
        near = dict(zip(found[k].names, found[k].values.tolist(), strict=True)) if k > 1 else {}
    return found


def _fit(
    search: _Search, structure: Structure, zone: str, near: dict[str, float],
    gain: Array | None = None,
) -> ZoneFit:  # fmt: skip
    """A fit of the search; one that knows its gain already is a small step from another."""
    guess = textbook(search.layout, structure)
    fit = fit_zone(
        search.rows, structure, zone, guess, search.train, search.part,
        evaluations=EVALUATIONS if gain is None else 3, rounds=ROUNDS if gain is None else 1,
        near=near, gain=gain,
    )  # fmt: skip
    return replace(fit, score=score(search.rows, structure, fit, search.judge))


def score(rows: Rows, structure: Structure, fit: ZoneFit, windows: FitWindows) -> float:
    """Root mean square error (K) over all leads of windows that the fit has not seen."""
    if not len(windows.starts):
        return fit.rmse
    model = ZoneLinear(structure, fit.zone, rows)
    errors = model.errors(fit.values[None], fit.gain[rows.kinds], windows.starts, windows.length)
    return float(np.sqrt(np.mean(np.square(errors))))


def _pruned(search: _Search, choice: Choice) -> Choice:
    """Leave out what the record does not tell, one facade after the other, while it costs nothing.

    One by one: of facades that get much the same sun, each alone is untold and all are not.
    """
    structure, fits = choice.structure, dict(choice.fits)
    for zone, whole in choice.fits.items():
        limit = whole.score * (1.0 + MAY_COST)
        while True:
            fit = fits[zone]
            shares = told(fit)
            mute = [f for f in structure.facades[zone] if shares[_aperture(zone, f)] > UNTOLD]
            if not mute:
                break
            last = max(mute, key=lambda f: shares[_aperture(zone, f)])
            kept = tuple(f for f in structure.facades[zone] if f != last)
            smaller = replace(structure, facades={**structure.facades, zone: kept})
            near = dict(zip(fit.names, fit.values.tolist(), strict=True))
            again = _fit(search, smaller, zone, near, fit.gain)
            if again.score > limit:
                break
            structure, fits[zone] = smaller, again
    silent = {
        (a, b)
        for a, b in structure.pairs
        if all(told(fits[z])[pair_name(a, b)] > UNTOLD for z in (a, b))
    }
    pairs = tuple(p for p in structure.pairs if p not in silent)
    return Choice(replace(structure, pairs=pairs), fits, choice.scores)


def _aperture(zone: str, facade: str) -> str:
    return f"{zone}.aperture_{facade}_m2"


def told(fit: ZoneFit) -> dict[str, float]:
    """By parameter: posterior to prior spread; near 1 where the record tells nothing."""
    share = np.sqrt(np.diag(fit.covariance)) / fit.prior_std
    return dict(zip(fit.names, share.tolist(), strict=True))


def scores_report(choice: Choice) -> dict[str, Any]:
    """For the report: order by zone, errors of every order tried, facades and pairs kept."""
    return {
        "order": dict(choice.structure.order),
        "validation_rmse_k": choice.scores,
        "facades": {z: list(f) for z, f in choice.structure.facades.items()},
        "pairs": [list(p) for p in choice.structure.pairs],
    }
