"""The microgrid's instruments: noise and resolution."""

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


def instrument(signal: str, true: float, offset: float, z: float) -> float:
    """One sample: see `scenarios.sensors.Sensors`."""
    fixed, share, resolution = INSTRUMENTS[signal.split(".", 1)[1]]
    if true == 0.0 and signal in NEVER_NEGATIVE:
        return 0.0
    value = true + offset + z * (fixed + share * abs(true))
    value = round(round(value / resolution) * resolution, 6)
    return max(value, 0.0) if signal in NEVER_NEGATIVE else value
