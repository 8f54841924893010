"""A building twin from the drawing board: floor areas, nameplates and textbook values only."""

import numpy as np

from graph.schedules import covered
from graph.site import Site
from sandbox.building.calendar import hour_kinds, profile_from
from sandbox.building.inputs import hours_from
from sandbox.building.layout import BuildingLayout, building_layout
from sandbox.building.names import parameter_names, space_of, textbook
from sandbox.building.structure import FACADES, Profile, Structure
from sandbox.parameters import TwinParameters, covariance_rows

PEOPLE_W_M2 = 75.0 * 0.05  # sensible heat of five persons per 100 m2 (ASHRAE 62.1, office)
SMALL = 6  # zones up to which each is taken to touch each other
LINEAR_STD = {"base_kw": 0.02, "crankcase_kw": 0.02, "night_band_k": 0.3}
SLOPE_STD = 0.02


def all_pairs(layout: BuildingLayout) -> tuple[tuple[str, str], ...]:
    """Zones that may touch: all of a small building, else those that share a unit."""
    zones = layout.zones
    small = len(zones) <= SMALL
    return tuple(
        (a.id, b.id)
        for i, a in enumerate(zones)
        for b in zones[i + 1 :]
        if small or a.source == b.source
    )


def drawing_board(
    site: Site, *, relative_std: float = 0.3, claim_fit_for_control: bool = False
) -> TwinParameters:
    """Parameters of a building that nobody has measured. Two heat nodes a zone.

    `claim_fit_for_control` is for comparison runs that must operate with it all the same.

    Raises:
        InputError: the site is not a building.
    """
    layout = building_layout(site)
    structure = Structure(
        order={z.id: 2 for z in layout.zones},
        facades={z.id: FACADES for z in layout.zones},
        pairs=all_pairs(layout),
        gains_kw={z.id: _people(layout, z.floor_area_m2) for z in layout.zones},
    )
    guess = textbook(layout, structure)
    names = parameter_names(layout, structure)
    std = [_std(n, relative_std) for n in names]
    return TwinParameters(
        kind="building",
        names=names,
        values=tuple(guess[n] for n in names),
        spaces=tuple(space_of(n) for n in names),
        covariance=covariance_rows(np.diag(np.square(std))),
        fitted_on={"data": "none: from the drawing board"},
        report={"fit_for_control": claim_fit_for_control, "reasons": ["not fitted"]},
        structure=structure.as_dict(),
    )


def _std(name: str, relative_std: float) -> float:
    if space_of(name) == "log":
        return relative_std
    return LINEAR_STD.get(name.split(".", 1)[1], SLOPE_STD)


def _people(layout: BuildingLayout, area_m2: float) -> Profile:
    """Heat of people while the units ventilate."""
    from datetime import UTC, datetime

    site = layout.site
    week = hours_from(datetime(2001, 1, 1, tzinfo=UTC), 7 * 24, 3600.0)
    there = covered(site.baseline.ventilation, week.begins, site.zone_info)
    kinds = hour_kinds(week.begins, site.zone_info)
    table = np.zeros(48)
    counts = np.bincount(kinds, minlength=48)
    np.add.at(table, kinds, there.astype(float))
    return profile_from(table / np.maximum(counts, 1) * PEOPLE_W_M2 * area_m2 / 1000.0)
