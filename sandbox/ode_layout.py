"""Which signals of a site the text of its equations names, and what part each plays."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graph.errors import InputError
from graph.signals import Role
from graph.site import Site
from sandbox.faults import Fault
from sandbox.symbolic.model import SymbolicModel

FORECAST_KINDS = ("pv", "load")  # assets whose power the forecaster knows
WEATHER_SIGNALS = ("temp_degc", "ghi_w_m2")


@dataclass(frozen=True)
class OdeLayout:
    """See `sandbox.twin.TwinLayout`. `outputs`: signals that the equations give without a state."""

    points: tuple[str, ...]
    disturbance_signals: tuple[str, ...]
    outputs: tuple[str, ...]
    state_of: Mapping[str, str]
    pvs: tuple[str, ...]
    loads: tuple[str, ...]
    outdoor_signal: str
    grids: tuple[str, ...]

    @property
    def sensors(self) -> tuple[str, ...]:
        """Every measured signal that shows a state."""
        return tuple(self.state_of)

    @property
    def zone_signals(self) -> tuple[str, ...]:
        """None: rooms are what the other kinds of twins have."""
        return ()

    @property
    def main_signals(self) -> tuple[str, ...]:
        """The grid's power, then levels and the like."""
        return (*self.grids, *self.sensors)

    @property
    def imposable(self) -> tuple[str, ...]:
        """None: the equations take nothing but setpoints and disturbances."""
        return ()

    def off(self, asset: str) -> Fault | None:  # noqa: ARG002 (a part of every twin's face)
        """None: set the asset's setpoint to zero instead."""
        return None


def ode_layout(site: Site, model: SymbolicModel) -> OdeLayout:
    """Match the equations' inputs, states and outputs with the site's signals.

    Raises:
        InputError: an input that is neither a setpoint nor forecast, a setpoint or limit that the
            equations do not know, an output that is no signal, or no power of the grid.
    """
    signals = {s.id: s for s in site.signals}
    forecast = _forecast_signals(site)
    points, disturbances = [], []
    for name in model.input_names:
        if name in signals and signals[name].role is Role.SETPOINT:
            points.append(name)
        elif name in forecast:
            disturbances.append(name)
        else:
            raise InputError(
                f"the equations' input {name} is neither a setpoint nor forecast",
                f"setpoints: {_list(s.id for s in site.setpoints)}; forecast: {_list(forecast)}",
            )
    outputs = model.output_names
    odd = [n for n in outputs if n not in signals]
    if odd:
        raise InputError(f"the equations give {_list(odd)}, which the site does not declare")
    state_of = {s: s for s in model.state_names if s in signals}
    grids = tuple(f"{a.id}.power_kw" for a in site.of_kind("grid_connection"))
    _complete(site, {*points, *disturbances, *outputs, *state_of}, grids)
    return OdeLayout(
        points=tuple(points),
        disturbance_signals=tuple(disturbances),
        outputs=outputs,
        state_of=state_of,
        pvs=tuple(a.id for a in site.of_kind("pv") if f"{a.id}.power_kw" in disturbances),
        loads=tuple(a.id for a in site.of_kind("load") if f"{a.id}.power_kw" in disturbances),
        outdoor_signal=next((s for s in disturbances if s.endswith(".temp_degc")), ""),
        grids=grids,
    )


def _forecast_signals(site: Site) -> tuple[str, ...]:
    powers = [f"{a.id}.power_kw" for kind in FORECAST_KINDS for a in site.of_kind(kind)]
    weather = [f"{a.id}.{q}" for a in site.of_kind("weather") for q in WEATHER_SIGNALS]
    return (*powers, *weather)


def _complete(site: Site, known: set[str], grids: tuple[str, ...]) -> None:
    needed = {
        "setpoint": [s.id for s in site.setpoints],
        "limited signal": [limit.signal for limit in site.limits],
        "power of the grid": list(grids),
    }
    for what, names in needed.items():
        missing = [n for n in names if n not in known]
        if missing:
            raise InputError(
                f"the equations do not know the {what} {_list(missing)}",
                "add it to the twin's model file",
            )


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
