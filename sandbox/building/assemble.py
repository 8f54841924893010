"""Parts of a fit put together: one record of parameters, covariances and structure."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.site import Site
from sandbox.building.calendar import profile_from
from sandbox.building.crankcase import crankcase_cutout
from sandbox.building.layout import BuildingLayout
from sandbox.building.names import parameter_names, space_of, textbook
from sandbox.building.rows import Rows
from sandbox.building.structure import CRANKCASE_DEGC, Structure
from sandbox.building.twin import BuildingTwin
from sandbox.building.unit_fit import (
    PartFit,
    coil_heat,
    fit_capacity,
    fit_fresh_air,
    fit_most,
    fit_power,
)
from sandbox.building.zone_fit import FitWindows, ZoneFit, fit_zone, shrunk_means
from sandbox.parameters import TwinParameters, covariance_rows

Array = NDArray[np.float64]
# By parameter: the conductance between two zones and the variance of its logarithm.
Couplings = dict[str, tuple[float, float]]
# Values to try, one parameter after the other, and the spread that remains. The first is what is
# taken unless another is clearly better.
LAW = (
    ("zones.night_duty", (1.0, 0.85, 0.7, 0.55), 0.1),
    ("zones.night_band_k", (0.0, 0.1, 0.25, 0.5, 0.75), 0.1),
    ("zones.thermostat_tau_h", (0.1, 0.05, 0.2, 0.4, 0.8, 1.6), 0.3),
)
CLEARLY = 0.99
LAW_STRIDE_H = 5.0
LAW_LENGTH_H = 6.0


@dataclass
class Values:
    """Parameters as they become known: value and covariance block by names."""

    values: dict[str, float]
    blocks: list[tuple[tuple[str, ...], Array]] = field(default_factory=list)

    def take(self, part: PartFit) -> None:
        """Adopt a part."""
        self.values |= dict(zip(part.names, part.values.tolist(), strict=True))
        self.blocks.append((part.names, part.covariance))


def fit_zones(
    rows: Rows, structure: Structure, windows: FitWindows, part: slice,
    near: dict[str, ZoneFit], evaluations: int,
) -> tuple[dict[str, ZoneFit], Couplings]:  # fmt: skip
    """All zones: each by itself, then once more with couplings that both sides agree on."""
    guess = textbook(rows.layout, structure)
    start = {z: dict(zip(f.names, f.values.tolist(), strict=True)) for z, f in near.items()}
    alone = {
        z: fit_zone(rows, structure, z, guess, windows, part, gain=near[z].gain,
                    evaluations=evaluations, rounds=1, near=start[z])
        for z in structure.order
    }  # fmt: skip
    shared = agreed(structure, alone)
    together = guess | {n: v for n, (v, _) in shared.items()}
    found = {}
    for z, fit in alone.items():
        before = dict(zip(fit.names, fit.values.tolist(), strict=True))
        found[z] = fit_zone(rows, structure, z, together, windows, part, frozenset(shared),
                            fit.gain, evaluations, 2, before)  # fmt: skip
    return found, shared


def agreed(structure: Structure, fits: dict[str, ZoneFit]) -> Couplings:
    """(value, variance of its logarithm) of each coupling: both zones' estimates by precision."""
    found = {}
    for a, b in structure.pairs:
        name = f"{a}.ua_{b}_kw_k"
        logs, precision = [], []
        for fit in (fits[a], fits[b]):
            i = fit.names.index(name)
            logs.append(float(np.log(fit.values[i])))
            precision.append(1.0 / float(fit.covariance[i, i]))
        total = sum(precision)
        mean = sum(v * w for v, w in zip(logs, precision, strict=True)) / total
        found[name] = (float(np.exp(mean)), 1.0 / total)
    return found


def known_values(
    rows: Rows, structure: Structure, fits: dict[str, ZoneFit], couplings: Couplings
) -> tuple[Structure, Values]:
    """The structure with its recurring gains, and the zones' parameters."""
    known = Values(textbook(rows.layout, structure))
    for fit in fits.values():
        own = [i for i, n in enumerate(fit.names) if n not in couplings]
        names = tuple(fit.names[i] for i in own)
        known.take(PartFit(names, fit.values[own], fit.covariance[np.ix_(own, own)], fit.rmse))
    for name, (value, variance) in couplings.items():
        known.take(PartFit((name,), np.array([value]), np.array([[variance]]), 0.0))
    gains = {z: profile_from(f.gain) for z, f in fits.items()}
    return replace(structure, gains_kw=gains), known


def fit_units(
    rows: Rows, structure: Structure, known: Values, part: slice
) -> tuple[Structure, dict[str, float]]:
    """Air, capacities and power of every unit into `known`.

    Returns the structure with what kind of air zones get and the cut-outs of crankcase heaters
    that were seen, and residual spreads by part.
    """
    spread: dict[str, float] = {}
    supplied: list[str] = []
    cutouts: dict[str, float] = {}
    everything = textbook(rows.layout, replace(structure, supplied=tuple(structure.order)))
    if not rows.inferred:
        # A unit of one zone cools what that zone asks for; only one of several must compromise.
        several = {z for zones in rows.layout.zones_of.values() if len(zones) > 1 for z in zones}
        for zone in structure.order:
            air = fit_fresh_air(rows, zone, everything | known.values, part, zone in several)
            known.take(air)
            spread[f"{zone}.fresh_air_kw"] = air.rmse
            if air.names[0].endswith("ua_supply_kw_k"):
                supplied.append(zone)
    for unit, zones in rows.layout.zones_of.items():
        coil = {z: coil_heat(rows, z, known.values) for z in zones}
        for z in zones:
            if z in supplied:
                known.take(fit_most(rows, z, coil[z], everything | known.values, part))
        for mode in ("heating", "cooling"):
            known.take(fit_capacity(rows, unit, mode, known.values, coil, part))
        if not rows.inferred:
            seen = crankcase_cutout(rows, unit, coil, part)
            cutouts |= {} if seen is None else {unit: seen}
            below = CRANKCASE_DEGC if seen is None else seen
            power = fit_power(rows, unit, known.values, coil, part, below)
            known.take(power)
            spread[f"{unit}.power_kw"] = power.rmse
    found = replace(structure, supplied=tuple(supplied), crankcase_degc=cutouts)
    return found, spread


def recurring_power(
    site: Site, rows: Rows, structure: Structure, known: Values, part: slice
) -> Structure:
    """The structure with each unit's power that recurs with the hour beyond its model."""
    from sandbox.building.errors import modelled_power

    twin = BuildingTwin(site, as_parameters(rows.layout, structure, known))
    found = {}
    for unit, power in modelled_power(twin, rows).items():
        rest = np.where(rows.usable, rows.power[unit] - power, np.nan)[part]
        found[unit] = profile_from(shrunk_means(rest, rows.kinds[part], rows.steps(1.0)))
    return replace(structure, power_kw=found)


def fit_law(
    site: Site, rows: Rows, structure: Structure, known: Values, part: slice
) -> dict[str, dict[str, float]]:
    """How thermostats and cycling units behave, into `known`: the best of a few in closed loop.

    Returns the errors (K) of every value tried, by parameter.
    """
    from sandbox.building.predict import input_table, predict, states_of, window_rows

    length = rows.steps(LAW_LENGTH_H)
    starts = rows.starts(part.start, part.stop, length, rows.steps(LAW_STRIDE_H))
    twin = BuildingTwin(site, as_parameters(rows.layout, structure, known))
    states, table = states_of(twin, rows), input_table(twin, rows)
    starts = starts[np.isfinite(states[starts]).all(axis=1)]
    actual = window_rows(starts, length)
    names, values = twin.parameters.names, np.array(twin.parameters.values)

    def error(trial: Array) -> float:
        run = predict(twin, rows, starts, length, states=states, table=table, parameters=trial)
        squares = [np.mean((run.temps[z] - rows.temps[z][actual]) ** 2) for z in run.temps]
        return float(np.sqrt(np.mean(squares)))

    errors: dict[str, dict[str, float]] = {}
    for name, tried, std in LAW:
        at = names.index(name)
        found = {}
        for value in tried:
            values[at] = value
            found[value] = error(values)
        best = min(found, key=lambda v: found[v])
        values[at] = best if found[best] < CLEARLY * found[tried[0]] else tried[0]
        errors[name] = {f"{v:g}": round(e, 4) for v, e in found.items()}
        known.take(PartFit((name,), values[at : at + 1].copy(), np.array([[std**2]]), 0.0))
    return errors


def as_parameters(layout: BuildingLayout, structure: Structure, known: Values) -> TwinParameters:
    """One record. Raises InputError when a value is not finite: the fit has run away."""
    names = parameter_names(layout, structure)
    values = np.array([known.values[n] for n in names])
    if not np.isfinite(values).all():
        odd = [n for n, v in zip(names, values, strict=True) if not np.isfinite(v)]
        raise InputError(
            f"the fit found no finite {', '.join(odd)}", "look at the telemetry of these assets"
        )
    at = {n: i for i, n in enumerate(names)}
    covariance = np.zeros((len(names), len(names)))
    for block, part in known.blocks:
        index = [at[n] for n in block]
        covariance[np.ix_(index, index)] = (part + part.T) / 2.0
    return TwinParameters(
        kind="building",
        names=names,
        values=tuple(float(v) for v in values),
        spaces=tuple(space_of(n) for n in names),
        covariance=covariance_rows(np.round(covariance, 9)),
        structure=structure.as_dict(),
    )
