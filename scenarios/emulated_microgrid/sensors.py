"""What the instruments make of the truth: noise, resolution, drift, sticking, loss."""

from collections.abc import Mapping

from scenarios.emulated_microgrid.faults import Faults

# Quantity -> (noise in the signal's unit, noise as a share of the value, resolution).
INSTRUMENTS: dict[str, tuple[float, float, float]] = {
    "power_kw": (0.01, 0.004, 0.01),
    "heat_kw": (0.05, 0.01, 0.01),
    "soc_pct": (0.03, 0.0, 0.1),
    "temp_degc": (0.03, 0.0, 0.05),
    "ghi_w_m2": (0.5, 0.01, 1.0),
}
# A meter that starts at zero stays at zero.
NEVER_NEGATIVE = frozenset({"pv.power_kw", "hp.power_kw", "building.power_kw", "outdoor.ghi_w_m2"})


class Sensors:
    """The measurements' last values. A stuck sensor keeps its own, a lost one gives None."""

    def __init__(self, signals: tuple[str, ...]) -> None:
        self.signals = signals
        self.values: dict[str, float | None] = {}

    def measure(
        self, truth: Mapping[str, float], noise: list[float], faults: Faults, now: float
    ) -> None:
        """Take one sample of every measurement. `noise`: standard normal, one a signal."""
        for signal, z in zip(self.signals, noise, strict=True):
            if signal in faults.lost:
                self.values[signal] = None
            elif signal not in faults.stuck or self.values.get(signal) is None:
                self.values[signal] = self._sample(signal, truth[signal], z, faults, now)

    def _sample(self, signal: str, true: float, z: float, faults: Faults, now: float) -> float:
        fixed, share, resolution = INSTRUMENTS[signal.split(".", 1)[1]]
        value = true
        if signal in faults.drift:
            rate, since = faults.drift[signal]
            value += rate * (now - since)
        if true == 0.0 and signal in NEVER_NEGATIVE:
            return 0.0
        value += z * (fixed + share * abs(true))
        value = round(round(value / resolution) * resolution, 6)
        return max(value, 0.0) if signal in NEVER_NEGATIVE else value
