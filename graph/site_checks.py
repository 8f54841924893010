"""Checks that span a whole site. Each raises MisplacedError with the place."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NoReturn

from graph.errors import InputError, MisplacedError
from graph.units import canonical_unit

if TYPE_CHECKING:
    from graph.site import Site

# What the end of a signal's name promises about its unit.
NAMED_UNITS = (
    ("_kwh", "kWh"), ("_kw", "kW"), ("_degc", "degC"), ("_pct", "percent"), ("_w_m2", "W/m^2"),
)  # fmt: skip


def check_site(site: Site) -> None:
    """Names resolve, units exist, limits do not cross, feeding has no cycle."""
    _check_unique(site)
    _check_units(site)
    _check_references(site)
    _check_limits(site)
    _check_topology(site)
    _check_baseline(site)
    _check_plant(site)


def _check_baseline(site: Site) -> None:
    """The local law says what each kind of equipment does."""
    law = site.baseline
    kinds = {a.id: a.kind for a in site.assets}
    served = {kinds.get(a.source) for a in site.assets if a.kind == "zone"}
    needed: list[tuple[str, bool]] = []
    if "buffer_tank" in served:
        needed.append(("zone_setpoint_degc", bool(law.zone_setpoint_degc)))
    if "air_unit" in served:
        needed.append(("zone_heating_degc", bool(law.zone_heating_degc)))
        needed.append(("zone_cooling_degc", bool(law.zone_cooling_degc)))
    if "heat_pump" in kinds.values():
        machine = ("tank_on_below_degc", "tank_off_above_degc", "heat_pump_power_kw")
        needed += [(field, getattr(law, field) is not None) for field in machine]
    for field, given in needed:
        if not given:
            raise MisplacedError(
                f"the baseline law lacks {field}, which this site's equipment needs",
                ("baseline",),
                "say what the plant's own controllers do",
            )
    setpoints = [s.id for s in site.setpoints]
    for name, rules in law.points.items():
        if name not in setpoints:
            _unknown("the baseline law sets unknown setpoint", name, setpoints, "baseline",
                     "points", name)  # fmt: skip
        if not rules:
            raise MisplacedError(
                f"the baseline law of {name} has no value", ("baseline", "points", name),
                'for a constant: [{at: "00:00", value: 3.0}]',
            )  # fmt: skip


def _check_plant(site: Site) -> None:
    """A simulated plant names its simulator, and its map names signals of the site."""
    plant = site.plant
    if (plant.adapter == "simulated") != (plant.simulator is not None):
        raise MisplacedError(
            f"plant adapter {plant.adapter!r} "
            + ("needs a simulator" if plant.simulator is None else "takes no simulator"),
            ("plant",),
            "adapter: simulated goes with simulator: {kind: ...}",
        )
    signals = [s.id for s in site.signals]
    for name in getattr(plant.simulator, "points", None) or {}:
        if name not in signals:
            _unknown("the simulator's map names unknown signal", name, signals, "plant",
                     "simulator", "points", name)  # fmt: skip


def _check_unique(site: Site) -> None:
    for what, field, names in (
        ("asset", "assets", [a.id for a in site.assets]),
        ("signal", "signals", [s.id for s in site.signals]),
    ):
        for index, name in enumerate(names):
            if name in names[:index]:
                raise MisplacedError(
                    f"{what} declared twice: {name}", (field, index, "id"), "rename or remove one"
                )


def _check_units(site: Site) -> None:
    for index, spec in enumerate(site.signals):
        place = ("signals", index, "unit")
        try:
            unit = canonical_unit(spec.unit)
        except InputError as error:
            raise MisplacedError(f"signal {spec.id}: {error.message}", place, error.hint) from error
        for suffix, named in NAMED_UNITS:
            if spec.id.endswith(suffix) and unit != named:
                raise MisplacedError(
                    f"signal {spec.id}: its name says {named}, its unit says {spec.unit}",
                    place,
                    f"expected {named}",
                )


def _check_references(site: Site) -> None:
    assets = [a.id for a in site.assets]
    signals = [s.id for s in site.signals]
    for i, spec in enumerate(site.signals):
        if spec.asset not in assets:
            _unknown(f"signal {spec.id}: there is no asset", spec.asset, assets, "signals", i, "id")
        if spec.follows and spec.follows not in signals:
            what = f"signal {spec.id}: follows unknown signal"
            _unknown(what, spec.follows, signals, "signals", i, "follows")
    for i, asset in enumerate(site.assets):
        for field in ("sink", "source"):
            target = getattr(asset, field, None)
            if target is not None and target not in assets:
                what = f"asset {asset.id}: {field} names unknown asset"
                _unknown(what, target, assets, "assets", i, field)
    for i, edge in enumerate(site.topology):
        for field in ("source", "target"):
            end = getattr(edge, field)
            if end not in assets:
                _unknown("topology names unknown asset", end, assets, "topology", i, field)
    for i, limit in enumerate(site.limits):
        if limit.signal not in signals:
            _unknown("limit on unknown signal", limit.signal, signals, "limits", i, "signal")


def _unknown(what: str, name: str, known: list[str], *place: str | int) -> NoReturn:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
    raise MisplacedError(f"{what} {name!r}", place, hint)


def _check_limits(site: Site) -> None:
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for index, limit in enumerate(site.limits):
        name, place = limit.signal, ("limits", index)
        if limit.minimum is None and limit.maximum is None:
            raise MisplacedError(f"limit on {name} has neither minimum nor maximum", place)
        if limit.minimum is not None:
            low[name] = max(low.get(name, limit.minimum), limit.minimum)
        if limit.maximum is not None:
            high[name] = min(high.get(name, limit.maximum), limit.maximum)
        if name in low and name in high and low[name] >= high[name]:
            raise MisplacedError(
                f"limits on {name} leave nothing: minimum {low[name]} is not below "
                f"maximum {high[name]}",
                place,
                "limits on one signal must leave a range",
            )


def _check_topology(site: Site) -> None:
    feeds: dict[str, list[str]] = {}
    for edge in site.topology:
        if edge.kind in ("feeds", "heats"):
            feeds.setdefault(edge.source, []).append(edge.target)
    done: set[str] = set()

    def visit(node: str, path: tuple[str, ...]) -> None:
        if node in path:
            circle = " -> ".join((*path, node))
            raise MisplacedError(f"topology feeds in a circle: {circle}", ("topology",))
        if node in done:
            return
        for target in feeds.get(node, ()):
            visit(target, (*path, node))
        done.add(node)

    for start in feeds:
        visit(start, ())
