"""The site as a typed graph: what feeds what, and which signals move which.

Assets are joined by the topology's edges. Signals are joined by cause: the physics of an energy
hub says which quantities of an asset, and of its neighbours, move a quantity directly.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from graph.assets import AirUnit, Asset, HeatPump, Zone
from graph.errors import InputError
from graph.signals import SignalSpec
from graph.site import Site

# Within one asset: quantity -> the quantities that move it.
_WITHIN: dict[str, dict[str, tuple[str, ...]]] = {
    "battery": {"power_kw": ("power_set_kw",), "soc_pct": ("power_kw",)},
    "heat_pump": {"power_kw": ("power_set_kw",), "heat_kw": ("power_kw",)},
    "zone": {
        "temp_degc": (
            "setpoint_degc",
            "heat_kw",
            "heating_setpoint_degc",
            "cooling_setpoint_degc",
        ),
        "heat_kw": ("heating_setpoint_degc", "cooling_setpoint_degc", "temp_degc"),
    },
}
_T = TypeVar("_T")
_BALANCED = ("load", "pv", "battery", "heat_pump", "air_unit")  # their powers sum to the grid's


@dataclass(frozen=True)
class Link:
    """A directed edge. kind: feeds, heats, measures, controls."""

    source: str
    target: str
    kind: str


class TwinGraph:
    """Read-only views of a site's topology and of the causes between its signals."""

    def __init__(self, site: Site) -> None:
        self._assets = {a.id: a for a in site.assets}
        self._signals = {s.id: s for s in site.signals}
        self.links = tuple(Link(e.source, e.target, e.kind) for e in site.topology)
        self._out = _adjacency((x.source, x.target) for x in self.links)
        self._parents = {s.id: self._causes(s, site) for s in site.signals}

    def asset(self, asset_id: str) -> Asset:
        """The asset's record. Raises InputError for an unknown id."""
        return self._known(self._assets, asset_id)

    def signals_of(self, asset_id: str) -> tuple[SignalSpec, ...]:
        """The asset's signals in the pack's order."""
        self.asset(asset_id)
        return tuple(s for s in self._signals.values() if s.asset == asset_id)

    def downstream(self, asset_id: str) -> tuple[str, ...]:
        """Assets that something from this one reaches, nearest first, itself excluded."""
        self.asset(asset_id)
        return tuple(a for a in _reach(self._out, asset_id) if a != asset_id)

    def path(self, a: str, b: str) -> tuple[str, ...]:
        """The shortest way along the edges from a to b, both included; empty if there is none."""
        self.asset(a)
        self.asset(b)
        return _shortest(self._out, a, b)

    def parents(self, signal_id: str) -> tuple[str, ...]:
        """Signals that move this one directly, its own past left out."""
        self._known(self._signals, signal_id)
        return self._parents[signal_id]

    def ancestors(self, signal_id: str) -> tuple[str, ...]:
        """All signals that move this one, directly first."""
        self.parents(signal_id)
        return tuple(s for s in _reach(self._parents, signal_id) if s != signal_id)

    def causal_path(self, cause: str, effect: str) -> tuple[str, ...]:
        """The shortest chain of signals from cause to effect; empty if there is none."""
        self.parents(cause)
        self.parents(effect)
        return tuple(reversed(_shortest(self._parents, effect, cause)))

    @staticmethod
    def _known(table: Mapping[str, _T], key: str) -> _T:
        if key not in table:
            raise InputError(f"the site has no {key!r}", f"it has: {', '.join(table)}")
        return table[key]

    def _causes(self, spec: SignalSpec, site: Site) -> tuple[str, ...]:
        asset, quantity = self._assets[spec.asset], spec.id.split(".", 1)[1]
        names = [f"{asset.id}.{q}" for q in _WITHIN.get(asset.kind, {}).get(quantity, ())]
        names += _from_neighbours(asset, quantity, site)
        return tuple(n for n in dict.fromkeys(names) if n in self._signals and n != spec.id)


def _from_neighbours(asset: Asset, quantity: str, site: Site) -> list[str]:
    weather = [w.id for w in site.of_kind("weather")]
    zones = [z for z in site.of_kind("zone") if isinstance(z, Zone)]
    pumps = [p for p in site.of_kind("heat_pump") if isinstance(p, HeatPump)]
    match asset.kind, quantity:
        case "grid_connection", "power_kw":
            return [f"{a.id}.power_kw" for kind in _BALANCED for a in site.of_kind(kind)]
        case "pv", "power_kw":
            return [f"{w}.{q}" for w in weather for q in ("ghi_w_m2", "temp_degc")]
        case "buffer_tank", "temp_degc":
            heat = [f"{p.id}.heat_kw" for p in pumps if p.sink == asset.id]
            drawn = [z.id for z in zones if z.source == asset.id]
            return heat + [f"{z}.{q}" for z in drawn for q in ("setpoint_degc", "temp_degc")]
        case "zone", "temp_degc":
            outside = [f"{w}.{q}" for w in weather for q in ("temp_degc", "ghi_w_m2")]
            return [f"{getattr(asset, 'source', '')}.temp_degc", *outside]
        case "air_unit", "power_kw" if isinstance(asset, AirUnit):
            served = [f"{z.id}.heat_kw" for z in zones if z.source == asset.id]
            return [*served, f"{asset.source}.temp_degc"]
        case "heat_pump", "heat_kw" if isinstance(asset, HeatPump):
            return [f"{asset.source}.temp_degc", f"{asset.sink}.temp_degc"]
    return []


def _adjacency(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for source, target in pairs:
        if target not in found.get(source, ()):
            found[source] = (*found.get(source, ()), target)
    return found


def _reach(edges: Mapping[str, tuple[str, ...]], start: str) -> list[str]:
    """Breadth first from `start`, itself included."""
    seen, waiting = [start], deque([start])
    while waiting:
        for target in edges.get(waiting.popleft(), ()):
            if target not in seen:
                seen.append(target)
                waiting.append(target)
    return seen


def _shortest(edges: Mapping[str, tuple[str, ...]], a: str, b: str) -> tuple[str, ...]:
    paths: dict[str, tuple[str, ...]] = {a: (a,)}
    waiting = deque([a])
    while waiting:
        node = waiting.popleft()
        if node == b:
            return paths[node]
        for target in edges.get(node, ()):
            if target not in paths:
                paths[target] = (*paths[node], target)
                waiting.append(target)
    return ()
