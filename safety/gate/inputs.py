"""Whether what the gate sees is good enough to go on: critical inputs and the plant's clock."""

from graph.plant import Readings
from graph.signals import Quality
from safety.gate.config import GateConfig
from safety.gate.state import GateState


def bad_input(config: GateConfig, readings: Readings) -> str:
    """The first critical input that is missing, bad, late or impossible; empty when all is well."""
    for item in config.inputs:
        reading = readings.values.get(item.signal)
        if reading is None or reading.value is None:
            return f"{item.signal} missing"
        if reading.quality is Quality.BAD:
            return f"{item.signal} bad"
        if (readings.time - reading.time).total_seconds() > item.stale_after_s:
            return f"{item.signal} late"
        low = float("-inf") if item.min is None else item.min
        high = float("inf") if item.max is None else item.max
        if not low <= reading.value <= high:  # NaN is in no range either
            return f"{item.signal} out of its range"
    return ""


def bad_clock(state: GateState, config: GateConfig, readings: Readings, wall_s: float) -> bool:
    """Whether plant time ran back, or stands still on a plant whose time should run."""
    if state.cycled_at is None:
        return False
    if readings.time < state.cycled_at:
        return True
    still = readings.time == state.cycled_at
    return not config.stepped and still and wall_s - state.clock_moved_s > config.frozen_after_s
