"""One step of the energy hub: rooms, tank, heat pump, battery and the plant's local laws.

Per substep of length h (all futures at once):
1. Rooms. The free response (no emitter heat) is exact. The thermostat asks for the heat that
   closes the fraction 1 - exp(-h/tau) of its error, which is the heat that holds the room plus
   C (setpoint - T) / tau for small h, so no offset remains; the emitter gives what is asked,
   within 0 and UA_emit (T_tank - T_air).
2. Heat pump. It follows its setpoint inside [min, max], or the tank's hysteresis under local law;
   minimum on and off times hold under both. Heat = COP x power, COP affine in temperatures.
3. Tank. C (T+ - T) = h (heat - emitted - loss (T - ambient)): one well mixed node, balanced
   exactly with the flows at the substep's start.
4. Battery. It follows its setpoint, or nets the site's surplus under local law, within its power
   limits and what its state of charge allows.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sandbox.hub_inputs import HubInputs
from sandbox.hub_layout import HubLayout
from sandbox.parameters import COP_AT_OUTDOOR_DEGC, COP_AT_TANK_DEGC
from sandbox.thermal import contract

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class HubModel:
    """Structure, parameters by name (each (F,)) and the rooms' discrete matrices."""

    layout: HubLayout
    p: dict[str, Array]
    A: Array
    B: Array
    e: Array
    substeps: int
    substep_s: float
    B_emit: Array = field(init=False)
    B_air_inverse: Array = field(init=False)

    def __post_init__(self) -> None:
        b_air = np.ascontiguousarray(self.B[0::2, 0::2])
        inverse = np.linalg.inv(b_air.transpose(2, 0, 1)).transpose(1, 2, 0)
        object.__setattr__(self, "B_emit", np.ascontiguousarray(self.B[:, 0::2]))
        object.__setattr__(self, "B_air_inverse", np.ascontiguousarray(inverse))


@dataclass
class HubRun:
    """State of a simulation as it goes, and what it recorded, each (N, F)."""

    x: Array
    on: Bools
    held_s: Array
    traces: dict[str, Array]
    states: dict[str, Array]
    kept: dict[str, Array] = field(default_factory=dict)  # what stuck sensors show


@dataclass
class _Means:
    """Flows summed over the substeps of one step."""

    emitted: Array
    hp: Array
    heat: Array
    battery: Array
    tank_loss: Array
    battery_loss: Array


def run(model: HubModel, inputs: HubInputs, x: Array, on: Bools, held_s: Array) -> HubRun:
    """Simulate every step of `inputs` from states x (S, F)."""
    steps, futures = inputs.outdoor.shape[0], x.shape[1]
    recorder = _Recorder(model.layout, steps, futures)
    state = HubRun(x, on, held_s, recorder.traces, recorder.states)
    forcing = _forcing(model, inputs)
    for k in range(steps):
        means = _zero_means(len(model.layout.zones), futures)
        for _ in range(model.substeps):
            emitted = _rooms(model, inputs, state, forcing[k], k)
            power, heat = _heat_pump(model, inputs, state, k)
            loss = _tank(model, inputs, state, heat, emitted, k)
            battery, drained = _battery(model, inputs, state, power, k)
            means.hp += power
            means.heat += heat
            means.battery += battery
            means.tank_loss += loss
            means.battery_loss += drained
            means.emitted += emitted
        recorder.record(model, inputs, state, means, k)
    return state


def _zero_means(zones: int, futures: int) -> _Means:
    return _Means(np.zeros((zones, futures)), *(np.zeros(futures) for _ in range(5)))


def _forcing(model: HubModel, inputs: HubInputs) -> Array:
    """What weather and gains add to the rooms' states each substep, (N, 2Z, F)."""
    total = inputs.outdoor[:, None, :] * model.e[None]
    for i, zone in enumerate(model.layout.zones):
        gain = (
            model.p[f"{zone.id}.gain_kw"]
            + model.p[f"{zone.id}.aperture_m2"] / 1000.0 * inputs.ghi
            + model.p[f"{zone.id}.gain_per_load"] * inputs.load
        )
        latent = inputs.unexplained.get(model.layout.zone_signals[i])
        gain = gain if latent is None else gain + latent
        into_mass = model.p[f"{zone.id}.aperture_mass_m2"] / 1000.0 * inputs.ghi
        total = total + model.B[None, :, 2 * i, :] * gain[:, None, :]
        total = total + model.B[None, :, 2 * i + 1, :] * into_mass[:, None, :]
    return np.asarray(total)


def _rooms(model: HubModel, inputs: HubInputs, state: HubRun, forcing: Array, k: int) -> Array:
    """Advance the rooms by a substep; returns the emitted heat (Z, F) in kW."""
    zones = model.layout.zones
    count = 2 * len(zones)
    rooms, tank = state.x[:count], state.x[count]
    free = contract(model.A, rooms) + forcing
    share = -np.expm1(-model.substep_s / 3600.0 / model.p["zones.thermostat_tau_h"])
    air = rooms[0::2]
    error = np.empty_like(air)
    for i, signal in enumerate(model.layout.zone_signals):
        error[i] = inputs.zone_set[i][k] - inputs.shown(state.kept, signal, air[i], k)
    wanted = contract(model.B_air_inverse, air + share * error - free[0::2])
    for i, zone in enumerate(zones):
        most = model.p[f"{zone.id}.ua_emit_kw_k"] * (tank - air[i])
        wanted[i] = np.minimum(np.maximum(wanted[i], 0.0), np.maximum(most, 0.0))
    state.x[:count] = free + contract(model.B_emit, wanted)
    return wanted


def _heat_pump(model: HubModel, inputs: HubInputs, state: HubRun, k: int) -> tuple[Array, Array]:
    """Electric power and heat (F,) of this substep; moves the on/off state."""
    layout, faults = model.layout, inputs.faults
    unit = layout.heat_pump
    tank = state.x[-2]
    power = _commanded_power(model, inputs, state, k)
    if faults.dead[k]:
        power = np.zeros_like(power)
    elif not np.isnan(faults.stuck_kw[k]):
        power = np.full_like(power, faults.stuck_kw[k])
    if f"{unit.id}.power_kw" in inputs.imposed:
        power = inputs.imposed[f"{unit.id}.power_kw"][k] + np.zeros_like(power)
    if f"{unit.id}.heat_kw" in inputs.imposed:
        return power, inputs.imposed[f"{unit.id}.heat_kw"][k] + np.zeros_like(power)
    cop = (
        model.p["hp.cop"]
        + model.p["hp.cop_per_outdoor"] * (inputs.outdoor[k] - COP_AT_OUTDOOR_DEGC)
        + model.p["hp.cop_per_tank"] * (tank - COP_AT_TANK_DEGC)
    )
    return power, np.maximum(cop, 1.0) * power * float(faults.heat_factor[k])


def _commanded_power(model: HubModel, inputs: HubInputs, state: HubRun, k: int) -> Array:
    unit, law = model.layout.heat_pump, model.layout.site.baseline.tank_hysteresis
    shown = inputs.shown(state.kept, model.layout.tank_signal, state.x[-2], k)
    threshold = np.where(state.on, law.off_above_degc, law.on_below_degc)
    command = inputs.hp_set[k]
    remote = ~np.isnan(command)
    # A setpoint below half the least power cannot mean "run": the unit stops.
    want_on = np.where(remote, command >= unit.min_power_kw / 2.0, shown < threshold)
    least = np.where(state.on, unit.min_on_s, unit.min_off_s)
    on = np.where(state.held_s < least, state.on, want_on)
    state.held_s = np.where(on == state.on, state.held_s, 0.0) + model.substep_s
    state.on = on
    wanted = np.where(remote, command, law.power_kw)
    return np.asarray(
        np.where(on, np.minimum(np.maximum(wanted, unit.min_power_kw), unit.max_power_kw), 0.0)
    )


def _tank(
    model: HubModel, inputs: HubInputs, state: HubRun, heat: Array, emitted: Array, k: int
) -> Array:
    """Advance the tank; returns its loss (F,) in kW."""
    tank = state.x[-2]
    loss = model.p["tank.loss_kw_k"] * (tank - model.p["tank.ambient_degc"])
    net = heat - loss
    latent = inputs.unexplained.get(model.layout.tank_signal)
    net = net if latent is None else net + latent[k]
    for flow in emitted:
        net = net - flow
    state.x[-2] = tank + net * (model.substep_s / 3600.0) / model.p["tank.c_kwh_k"]
    return np.asarray(loss)


def _battery(
    model: HubModel, inputs: HubInputs, state: HubRun, hp_power: Array, k: int
) -> tuple[Array, Array]:
    """Power at the terminals and loss, each (F,) in kW; advances the state of charge."""
    unit, hours = model.layout.battery, model.substep_s / 3600.0
    efficiency, capacity = model.p["battery.efficiency"], model.p["battery.capacity_kwh"]
    soc, factor = state.x[-1], float(inputs.faults.battery_factor[k])
    imposed = inputs.imposed.get(f"{unit.id}.power_kw")
    if imposed is not None:
        power = imposed[k] + np.zeros_like(soc)
    else:
        command = inputs.battery_set[k]
        if np.isnan(command).any():
            command = np.where(
                np.isnan(command), _local_battery(model, inputs, hp_power, k), command
            )
        room = np.maximum(unit.soc_max_pct - soc, 0.0) / 100.0 * capacity / hours / efficiency
        stock = np.maximum(soc - unit.soc_min_pct, 0.0) / 100.0 * capacity / hours * efficiency
        most = np.minimum(unit.max_charge_kw * factor, room)
        least = -np.minimum(unit.max_discharge_kw * factor, stock)
        power = np.minimum(np.maximum(command + np.zeros_like(soc), least), most)
    into = np.where(power > 0, power * efficiency, power / efficiency)
    stored = into - model.p["battery.standby_kw"]
    moved = soc + stored * hours / capacity * 100.0
    state.x[-1] = np.minimum(np.maximum(moved, 0.0), 100.0)
    return power, power - stored


def _local_battery(model: HubModel, inputs: HubInputs, hp_power: Array, k: int) -> Array:
    if model.layout.site.baseline.battery == "idle":
        return np.zeros_like(hp_power)
    return np.asarray(inputs.pv[k] - inputs.load[k] - hp_power)


class _Recorder:
    """Writes each step's row of every trace."""

    def __init__(self, layout: HubLayout, steps: int, futures: int) -> None:
        battery, unit = layout.battery.id, layout.heat_pump.id
        measured = (
            *layout.disturbance_signals, *layout.zone_signals, *layout.zone_points,
            layout.tank_signal, layout.soc_signal, layout.battery_point, layout.heat_pump_point,
            f"{layout.grid.id}.power_kw", f"{battery}.power_kw", f"{unit}.power_kw",
            f"{unit}.heat_kw",
        )  # fmt: skip
        hidden = (*(f"{z.id}.heat_kw" for z in layout.zones), "tank.loss_kw", "battery.loss_kw")
        self.traces = {s: np.empty((steps, futures)) for s in (*measured, *hidden)}
        self.states = {s: np.empty((steps, futures)) for s in layout.state_names}

    def record(
        self, model: HubModel, inputs: HubInputs, state: HubRun, means: _Means, k: int
    ) -> None:
        """Write row k."""
        layout, n = model.layout, float(model.substeps)
        battery, unit = layout.battery.id, layout.heat_pump.id
        hp, flow = means.hp / n, means.battery / n
        row: dict[str, Array | float] = {s: v[k] for s, v in inputs.disturbances.items()}
        for i, zone in enumerate(layout.zones):
            signal = layout.zone_signals[i]
            row[signal] = inputs.shown(state.kept, signal, state.x[2 * i], k)
            row[layout.zone_points[i]] = inputs.zone_set[i][k]
            row[f"{zone.id}.heat_kw"] = means.emitted[i] / n
        row[layout.tank_signal] = inputs.shown(state.kept, layout.tank_signal, state.x[-2], k)
        row[layout.soc_signal] = inputs.shown(state.kept, layout.soc_signal, state.x[-1], k)
        row[layout.battery_point] = _shown(inputs.battery_set[k], flow)
        row[layout.heat_pump_point] = _shown(inputs.hp_set[k], hp)
        row[f"{battery}.power_kw"], row[f"{unit}.power_kw"] = flow, hp
        row[f"{unit}.heat_kw"] = means.heat / n
        # What the meters of the single assets do not see: circulation pumps and controls.
        unseen = model.p["grid.auxiliary_kw"]
        row[f"{layout.grid.id}.power_kw"] = inputs.load[k] + hp + flow - inputs.pv[k] + unseen
        row["tank.loss_kw"], row["battery.loss_kw"] = means.tank_loss / n, means.battery_loss / n
        for name, value in row.items():
            self.traces[name][k] = value
        for i, name in enumerate(layout.state_names):
            self.states[name][k] = state.x[i]


def _shown(command: Array, actual: Array) -> Array:
    """The value in force: the command, or what the local law does."""
    return np.asarray(np.where(np.isnan(command), actual, command))
