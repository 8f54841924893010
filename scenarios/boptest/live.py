"""Compares a pack's map with what the server says of its points. Runs nothing of the test case."""

import contextlib
from collections.abc import Mapping
from typing import Any

from graph.errors import InputError, UnavailableError
from graph.signals import Role, SignalSpec
from graph.simulators import BoptestPoint, BoptestSimulator
from graph.site import Site
from graph.units import canonical_unit
from scenarios.boptest.answers import PointInfo
from scenarios.boptest.client import BoptestClient
from scenarios.boptest.points import find_points

# (the server's unit, the site's unit) -> the scale and offset that lead from one to the other.
CONVERSIONS = {
    ("K", "degC"): (1.0, -273.15), ("W", "kW"): (0.001, 0.0), ("J", "kWh"): (1 / 3.6e6, 0.0),
    ("1", "percent"): (100.0, 0.0), ("degC", "degC"): (1.0, 0.0), ("kW", "kW"): (1.0, 0.0),
    ("W/m2", "W/m^2"): (1.0, 0.0), ("1", "dimensionless"): (1.0, 0.0),
}  # fmt: skip
ROUNDING = 0.01  # 273 in place of 273.15 is a mistake, 273.15 in single precision is none


def check_boptest(
    site: Site, spec: BoptestSimulator, client: BoptestClient | None = None
) -> list[dict[str, Any]]:
    """Lines {check, ok, detail}: the server answers; each signal's point, unit and range.

    Selects a test and stops it again. Never raises for what the server does.
    """
    made = client or BoptestClient(spec.url)
    try:
        version = made.version()
        made.select(spec.testcase)
        find_points(site, spec, made)
        there = {**made.measurements(), **made.inputs()}
    except (UnavailableError, InputError) as error:
        return [_line("plant", False, str(error))]
    finally:
        _let_go(made)
    said = f"{spec.url} answers, version {version}, test case {spec.testcase}"
    return [
        _line("plant", True, said),
        *(_check(s, spec.points[s.id], there) for s in site.signals),
    ]


def _let_go(client: BoptestClient) -> None:
    # It was not there to begin with, and that has been said.
    with contextlib.suppress(UnavailableError):
        client.stop()
    client.close()


def _check(
    signal: SignalSpec, place: BoptestPoint, there: Mapping[str, PointInfo]
) -> dict[str, Any]:
    info = there[place.name]
    wrong = [w for w in (_unit(signal, place, info), _range(signal, place, info)) if w]
    names = " + ".join((place.name, *place.plus))
    shown = f"{names} [{info.unit or 'no unit'}] x {place.scale:g} + {place.offset:g}"
    return _line(signal.id, not wrong, "; ".join([shown, *wrong]))


def _unit(signal: SignalSpec, place: BoptestPoint, info: PointInfo) -> str:
    known = CONVERSIONS.get((info.unit, canonical_unit(signal.unit)))
    if known is None:
        return ""  # a unit that we cannot judge is left to the pack
    scale, offset = known
    if abs(place.scale - scale) <= 1e-6 * scale and abs(place.offset - offset) <= ROUNDING:
        return ""
    return f"from {info.unit} to {signal.unit} expected scale {scale:g} and offset {offset:g}"


def _range(signal: SignalSpec, place: BoptestPoint, info: PointInfo) -> str:
    """A setpoint that the server would clip."""
    if signal.role is not Role.SETPOINT or info.minimum is None or info.maximum is None:
        return ""
    ends = sorted(v * place.scale + place.offset for v in (info.minimum, info.maximum))
    if ends[0] - ROUNDING <= signal.minimum and signal.maximum <= ends[1] + ROUNDING:
        return ""
    return (
        f"the server clips to {ends[0]:g} to {ends[1]:g} {signal.unit}, the site allows "
        f"{signal.minimum:g} to {signal.maximum:g}"
    )


def _line(check: str, ok: bool, detail: str) -> dict[str, Any]:
    return {"check": check, "ok": ok, "detail": detail}
