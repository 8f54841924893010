"""Which cause explains the residuals best: hypotheses compared by likelihood.

Each hypothesis says in which direction x_k its channel's normalised residuals move once the fault
is there: z_k = delta x_k + e_k, e_k ~ N(0, 1), delta ~ N(0, TAU^2), against z_k = e_k when nothing
is wrong. The likelihood ratio has a closed form (Kass and Raftery, 1995,
doi:10.1080/01621459.1995.10476572):

    log B = -1/2 log(1 + TAU^2 S) + 1/2 TAU^2 T^2 / (1 + TAU^2 S),  S = sum x^2, T = sum x z,

averaged over when the fault may have begun. A cause that can push one way only is charged for the
other half. Autocorrelated samples count for less: S and T are divided by (1 + rho) / (1 - rho).
Posterior probabilities over all hypotheses, "nothing wrong" among them, sum to 1.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.diagnostics_residuals import ResidualWindow
from graph.site import Site
from sandbox.hub_layout import HubLayout
from sandbox.twin import Twin

Array = NDArray[np.float64]

HEALTHY = 0.9  # prior probability that nothing is wrong; the rest is shared evenly
TAU = 2.0  # standard deviations: the size of effect that a fault typically has a sample
ONSETS = (1.0, 0.5, 0.25, 0.125)  # shares of the window since when the fault may have been there
SPREAD = 2.0  # a model that is wrong in changing directions looks like this much more noise
PASSING = 8  # samples: a room model that misses a change of setpoint or weather is off for so long
MOVING_KW = 1.0  # a command or a power above this counts as on
SOC_EDGE_PCT = 2.0  # this close to its limits a battery follows its limits, not the command


@dataclass(frozen=True)
class Cause:
    """A hypothesis with its probability. size: mean residual in its direction, in std."""

    name: str
    kind: str
    subject: str
    text: str
    channels: tuple[str, ...]
    probability: float
    log_bayes_factor: float
    size: float | None = None


@dataclass(frozen=True)
class _Hypothesis:
    name: str
    kind: str
    subject: str
    text: str
    directions: dict[str, Array]  # by channel; a row that says nothing is 0
    one_sided: bool = False


def compare_causes(site: Site, twin: Twin, window: ResidualWindow) -> tuple[Cause, ...]:
    """All hypotheses, the most probable first; their probabilities sum to 1."""
    hypotheses = [h for h in _hypotheses(site, twin, window) if set(h.directions) <= set(window.z)]
    factors = [_log_factor(h, window) for h in hypotheses]
    if any(h.kind == "model_error" for h in hypotheses):
        at = next(i for i, h in enumerate(hypotheses) if h.kind == "model_error")
        ways = [factors[at], _log_spread(hypotheses[at], window)]
        ways += [_log_passing(channel, window) for channel in hypotheses[at].directions]
        factors[at] = float(np.logaddexp.reduce(ways) - math.log(len(ways)))
    share = math.log((1.0 - HEALTHY) / max(1, len(hypotheses)))
    weights = np.array([math.log(HEALTHY), *(share + f for f in factors)])
    posterior = np.exp(weights - weights.max())
    posterior /= posterior.sum()
    healthy = Cause("nothing", "none", site.id, "nothing is wrong", (), float(posterior[0]), 0.0)
    causes = [
        Cause(
            h.name, h.kind, h.subject, h.text, tuple(h.directions), float(p), float(f),
            _size(h, window),
        )
        for h, p, f in zip(hypotheses, posterior[1:], factors, strict=True)
    ]  # fmt: skip
    return tuple(sorted([healthy, *causes], key=lambda c: (-c.probability, c.name)))


def _hypotheses(site: Site, twin: Twin, window: ResidualWindow) -> list[_Hypothesis]:
    layout = twin.layout
    found = [_sensor(s, window) for s in layout.sensors]
    zones = site.of_kind("zone")
    found += [_leak(twin, zone.id, zone.label, window) for zone in zones]
    found += [_starved(zone.id, zone.label, window) for zone in zones]
    if isinstance(layout, HubLayout):
        found += [*_heat_pump(layout, window), _battery(layout, window)]
    grid = f"{site.of_kind('grid_connection')[0].id}.power_kw"
    found.append(
        _Hypothesis(
            "grid.balance", "sensor_fault", grid,
            "the grid meter is off, or something draws power that nobody meters",
            _ones(window, grid),
        )
    )  # fmt: skip
    found.append(
        _Hypothesis(
            "model", "model_error", f"twin of {site.id}",
            "the rooms' model is off: weather, gains or use differ from what it was fitted on",
            {k: v for s in layout.zone_signals for k, v in _ones(window, s).items()},
        )
    )  # fmt: skip
    return found


def _ones(window: ResidualWindow, channel: str) -> dict[str, Array]:
    return {channel: np.ones(len(window.z.get(channel, ())))}


def _sensor(signal: str, window: ResidualWindow) -> _Hypothesis:
    return _Hypothesis(
        f"sensor:{signal}", "sensor_fault", signal, f"the sensor {signal} is off or drifts",
        _ones(window, signal),
    )  # fmt: skip


def _leak(twin: Twin, zone: str, label: str, window: ResidualWindow) -> _Hypothesis:
    """Losses grow with the difference to the outside, which tells them from a drifting sensor."""
    signal = f"{zone}.temp_degc"
    outside = window.columns[signal] - window.columns[twin.layout.outdoor_signal]
    size = len(window.z.get(signal, ()))
    difference = np.nan_to_num(outside[-size:] if size else outside[:0])
    scale = float(np.abs(difference).mean()) if size else 0.0
    return _Hypothesis(
        f"loss:{zone}", "process_fault", zone,
        f"{label or zone} loses heat that no model knows: a door, a window, a shut valve",
        {signal: -difference / scale if scale > 0 else difference},
        one_sided=True,
    )  # fmt: skip


def _starved(zone: str, label: str, window: ResidualWindow) -> _Hypothesis:
    """Shows like a sensor that reads low: residuals alone cannot tell the two apart, and say so."""
    signal = f"{zone}.temp_degc"
    return _Hypothesis(
        f"starved:{zone}", "process_fault", zone,
        f"{label or zone} gets less heat than the model says: a valve, a radiator",
        {signal: -np.ones(len(window.z.get(signal, ())))}, one_sided=True,
    )  # fmt: skip


def _heat_pump(layout: HubLayout, window: ResidualWindow) -> list[_Hypothesis]:
    unit, columns = layout.heat_pump.id, window.columns
    power, heat = f"{unit}.power_kw", f"{unit}.heat_kw"
    running = np.nan_to_num(columns[power]) > MOVING_KW
    told = np.nan_to_num(columns[layout.heat_pump_point]) > MOVING_KW

    def cause(name: str, text: str, channel: str, direction: Array) -> _Hypothesis:
        size = len(window.z.get(channel, ()))
        return _Hypothesis(
            f"{unit}:{name}", "actuator_fault", unit, text, {channel: direction[-size:]},
            one_sided=True,
        )  # fmt: skip

    return [
        cause("no_heat", "the heat pump draws power and delivers too little heat", heat,
              -running.astype(float)),
        cause("no_power", "the heat pump is told to run and does not", power,
              -told.astype(float)),
        cause("runs_untold", "the heat pump runs without being told", power,
              (~told).astype(float)),
    ]  # fmt: skip


def _battery(layout: HubLayout, window: ResidualWindow) -> _Hypothesis:
    battery, channel = layout.battery, f"{layout.battery.id}.power_kw"
    told = np.nan_to_num(window.columns[layout.battery_point])
    soc = np.nan_to_num(window.columns[layout.soc_signal], nan=50.0)
    inside = (soc > battery.soc_min_pct + SOC_EDGE_PCT) & (soc < battery.soc_max_pct - SOC_EDGE_PCT)
    direction = -np.sign(told) * (np.abs(told) > MOVING_KW) * inside
    return _Hypothesis(
        f"{battery.id}:derated", "actuator_fault", battery.id,
        "the battery gives less power than it is told",
        {channel: direction[-len(window.z.get(channel, ())) :]}, one_sided=True,
    )  # fmt: skip


def _log_factor(h: _Hypothesis, window: ResidualWindow) -> float:
    """Log likelihood ratio against nothing wrong, averaged over the onset."""
    logs = [_log_shift(*_sums(h, window, share), one_sided=h.one_sided) for share in ONSETS]
    return float(np.logaddexp.reduce(logs) - math.log(len(logs)))


def _log_passing(channel: str, window: ResidualWindow) -> float:
    """The same for a shift of one room that came and went, or came only just now."""
    rows = len(window.z[channel])
    begins = range(0, max(1, rows - PASSING // 2), PASSING // 2)
    logs = []
    for begin in begins:
        direction = np.zeros(rows)
        direction[begin : begin + PASSING] = 1.0
        sums = _products(direction, window.z[channel], window.rho[channel])
        logs.append(_log_shift(*sums, one_sided=False))
    return float(np.logaddexp.reduce(logs) - math.log(len(logs)))


def _sums(h: _Hypothesis, window: ResidualWindow, share: float) -> tuple[float, float]:
    """S and T of the module's text over the last `share` of the window."""
    energy = match = 0.0
    for channel, direction in h.directions.items():
        z = window.z[channel]
        first = len(z) - math.ceil(share * len(z))
        part = _products(direction[first:], z[first:], window.rho[channel])
        energy, match = energy + part[0], match + part[1]
    return energy, match


def _products(x: Array, z: Array, rho: float) -> tuple[float, float]:
    good = np.isfinite(z) & np.isfinite(x)
    counts = (1.0 - rho) / (1.0 + rho)
    return counts * float(x[good] @ x[good]), counts * float(x[good] @ z[good])


def _log_shift(energy: float, match: float, *, one_sided: bool) -> float:
    variance = TAU**2 / (1.0 + TAU**2 * energy)
    factor = -0.5 * math.log1p(TAU**2 * energy) + 0.5 * variance * match**2
    if not one_sided:
        return factor
    # Half-normal prior: twice the mass of the posterior on the allowed side.
    score = variance * match / math.sqrt(variance)
    return factor + math.log(max(math.erfc(-score / math.sqrt(2.0)), 1e-300))


def _log_spread(h: _Hypothesis, window: ResidualWindow) -> float:
    """Log likelihood ratio of SPREAD times the usual noise in the hypothesis' channels."""
    total = 0.0
    for channel in h.directions:
        z = window.z[channel][np.isfinite(window.z[channel])]
        rho = window.rho[channel]
        gain = 0.5 * float(z @ z) * (1.0 - SPREAD**-2) - len(z) * math.log(SPREAD)
        total += gain * (1.0 - rho) / (1.0 + rho)
    return total


def _size(h: _Hypothesis, window: ResidualWindow) -> float | None:
    energy, match = _sums(h, window, 1.0)
    return match / energy if energy > 0 else None
