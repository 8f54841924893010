"""What acts on a simulated hub over the horizon: checked, shaped, and with local law filled in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.schedules import scheduled
from graph.site import Site
from sandbox.faults import Fault, FaultSignals, fault_signals
from sandbox.hub_layout import HubLayout

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HubInputs:
    """All series over the horizon, (N, 1) or (N, F); NaN in a command means local law."""

    outdoor: Array
    ghi: Array
    load: Array
    pv: Array
    disturbances: dict[str, Array]
    zone_set: list[Array]
    hp_set: Array
    battery_set: Array
    faults: FaultSignals
    imposed: dict[str, Array]
    unexplained: dict[str, Array]

    def shown(self, kept: dict[str, Array], signal: str, value: Array, k: int) -> Array:
        """What a sensor shows of `value` (F,) in step k; `kept` is what it showed before."""
        bias = self.faults.bias.get(signal)
        seen = value if bias is None else value + bias[k]
        stuck = self.faults.stuck.get(signal)
        if stuck is not None:
            seen = np.where(stuck[k], kept.get(signal, seen), seen)
            kept[signal] = seen
        return seen


def prepare_inputs(
    layout: HubLayout,
    futures: int,
    w: Mapping[str, Array],
    schedules: Mapping[str, Array | Sequence[float]],
    start: datetime,
    step_s: float,
    faults: Sequence[Fault],
    imposed: Mapping[str, Array],
) -> HubInputs:
    """Check and shape the arguments of `HubTwin.simulate`. Raises InputError naming the series."""
    _check_names(layout, w, schedules)
    steps = int(np.asarray(w[layout.outdoor_signal]).shape[-1])
    series = {s: _series(s, w[s], steps, futures) for s in layout.disturbance_signals}
    commands = {p: _command(p, schedules.get(p), steps, futures) for p in layout.points}
    local = baseline_zone_setpoints(layout.site, start, steps, step_s)[:, None]
    return HubInputs(
        outdoor=series[layout.outdoor_signal],
        ghi=series[layout.ghi_signal],
        load=_total([series[f"{a}.power_kw"] for a in layout.loads], steps),
        pv=_total([series[f"{a}.power_kw"] for a in layout.pvs], steps),
        disturbances=series,
        zone_set=[np.where(np.isnan(commands[p]), local, commands[p]) for p in layout.zone_points],
        hp_set=commands[layout.heat_pump_point],
        battery_set=commands[layout.battery_point],
        faults=fault_signals(layout.sensors, tuple(faults), steps),
        imposed={k: _series(k, v, steps, futures) for k, v in imposed.items()},
        unexplained={
            s: _series(name, w[name], steps, futures)
            for s, name in layout.heat_errors.items()
            if name in w
        },
    )


def baseline_zone_setpoints(site: Site, start: datetime, steps: int, step_s: float) -> Array:
    """The local law's room setpoint during each step, (N,): the site's wall clock decides."""
    times = [start + timedelta(seconds=step_s * k) for k in range(steps)]
    return scheduled(site.baseline.zone_setpoint_degc, times, site.zone_info)


def _check_names(
    layout: HubLayout, w: Mapping[str, Array], schedules: Mapping[str, Array | Sequence[float]]
) -> None:
    missing = [s for s in layout.disturbance_signals if s not in w]
    if missing:
        raise InputError(f"no disturbance for {', '.join(missing)}", "give (N,) or (F, N)")
    unknown = sorted(set(schedules) - set(layout.points))
    if unknown:
        raise InputError(
            f"schedule for unknown point {', '.join(unknown)}",
            f"the twin commands {', '.join(layout.points)}",
        )


def _total(parts: Sequence[Array], steps: int) -> Array:
    total: Array = np.zeros((steps, 1))
    for part in parts:
        total = total + part
    return total


def _series(name: str, values: Array, steps: int, futures: int) -> Array:
    """(N,) or (F, N) as (N, 1) or (N, F)."""
    array = np.asarray(values, dtype=float)
    if array.shape not in ((steps,), (futures, steps)) or not np.all(np.isfinite(array)):
        raise InputError(
            f"{name} has shape {array.shape} or holds NaN",
            f"expected ({steps},) or ({futures}, {steps}), finite",
        )
    return np.ascontiguousarray(np.atleast_2d(array).T)


def _command(point: str, values: Array | Sequence[float] | None, steps: int, futures: int) -> Array:
    """(n,) or (F, n), n <= N, as (N, 1) or (N, F); NaN where the local law acts."""
    if values is None:
        return np.full((steps, 1), np.nan)
    array = np.atleast_2d(np.asarray(values, dtype=float))
    if array.shape[0] not in (1, futures) or np.isinf(array).any():
        raise InputError(
            f"schedule {point} has shape {array.shape} or holds infinities",
            f"expected (n,) or ({futures}, n); NaN hands the step to the local law",
        )
    array = array[:, :steps]
    padded = np.full((array.shape[0], steps), np.nan)
    padded[:, : array.shape[1]] = array
    return np.ascontiguousarray(padded.T)
