"""Records the pack's telemetry: six weeks of the plant under its own law, gently excited.

    python -m scenarios.emulated_microgrid.record [--out FILE]

An identification needs inputs that move by themselves. So, from a seeded plan, through the
plant's ordinary write interface:
- each zone's setpoint: every 4 to 12 h a new step of -1.5, -0.75, 0, 0, +0.75 or +1.5 K on 21 degC;
- the battery: two or three times a day 45 to 120 min of charging or discharging at 5 to 25 kW,
  away from the ends of its charge;
- the heat pump: twice a day, while it runs anyway, 45 to 90 min at 5, 7 or 11 kW. It is never
  started or stopped by the plan, and handed back when the tank leaves 38 to 51 degC.
Everything changes on the quarter of an hour, so the recorded means are exact.
"""

import argparse
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from graph.errors import RefusedError
from graph.plant import LeasedSetpoint
from graph.sitepack import load_site
from graph.telemetry import Frame, write_frame
from scenarios.emulated_microgrid.plant import BATTERY_SET, HP_SET, ZONE_IDS, EmulatedPlant

PACK = Path(__file__).parents[1] / "microgrid"
START = datetime.fromisoformat("2025-12-01T00:00:00-08:00")
END = datetime.fromisoformat("2026-01-12T00:00:00-08:00")
SEED = 7
QUARTER_S = 900
ZONE_STEPS_K = (-1.5, -0.75, 0.0, 0.0, 0.75, 1.5)
HP_LEVELS_KW = (5.0, 7.0, 11.0)


class Excitation:
    """The plan: what is asked of each point in each quarter of an hour; None leaves it local."""

    def __init__(self, quarters: int, base_degc: float, seed: int) -> None:
        # A stream of its own for each series: a longer plan begins like a shorter one.
        streams = [np.random.default_rng(s) for s in np.random.SeedSequence([seed, 15]).spawn(4)]
        self.zones = [_steps(quarters, base_degc, rng) for rng in streams[:2]]
        self.battery = _bursts(quarters, (2, 3), (3, 8), streams[2], _battery_level)
        self.heat_pump = _bursts(quarters, (2, 2), (3, 6), streams[3], _pump_level)

    def wanted(self, k: int, soc_pct: float, tank_degc: float, running: bool) -> dict[str, float]:
        """The points to hold in quarter `k`, given what the plant shows."""
        found = {
            f"{zone}.setpoint_degc": series[k]
            for zone, series in zip(ZONE_IDS, self.zones, strict=True)
        }
        battery, pump = self.battery[k], self.heat_pump[k]
        if battery and (soc_pct < 82.0 if battery > 0 else soc_pct > 28.0):
            found[BATTERY_SET] = battery
        if pump and running and 38.0 < tank_degc < 51.0:
            found[HP_SET] = pump
        return found


def _steps(quarters: int, base: float, rng: np.random.Generator) -> list[float]:
    series: list[float] = []
    while len(series) < quarters:
        level = base + float(rng.choice(ZONE_STEPS_K))
        series += [level] * int(rng.integers(16, 49))
    return series


def _bursts(
    quarters: int, a_day: tuple[int, int], length: tuple[int, int],
    rng: np.random.Generator, level: Callable[[np.random.Generator], float],
) -> list[float]:  # fmt: skip
    series = [0.0] * quarters
    for day in range(0, quarters, 96):
        for _ in range(int(rng.integers(a_day[0], a_day[1] + 1))):
            at = day + int(rng.integers(0, 96))
            value = level(rng)
            for k in range(at, min(at + int(rng.integers(length[0], length[1] + 1)), quarters)):
                series[k] = value
    return series


def _battery_level(rng: np.random.Generator) -> float:
    return float(rng.choice((-1.0, 1.0)) * rng.choice((5.0, 10.0, 15.0, 20.0, 25.0)))


def _pump_level(rng: np.random.Generator) -> float:
    return float(rng.choice(HP_LEVELS_KW))


def record(pack: Path = PACK, start: datetime = START, end: datetime = END) -> Frame:
    """The plant's log from `start` to `end` on the site's step."""
    site = load_site(pack).site
    plant = EmulatedPlant(site, pack / "data", start, SEED, watchdog_s=math.inf)
    quarters = int((end - start) / timedelta(seconds=QUARTER_S))
    base = site.baseline.zone_setpoint_degc[-1].value
    plan = Excitation(quarters, base, SEED)
    epoch, held = plant.claim("recorder"), set[str]()
    for k in range(quarters):
        seen = plant.image().values
        soc, tank = (seen[n].value or 0.0 for n in ("battery.soc_pct", "tank.temp_degc"))
        running = plant.image().points[HP_SET].applied > 0.0
        wanted = plan.wanted(k, soc, tank, running)
        gone = sorted(held - wanted.keys())
        plant.release(epoch, 2 * k + 1, gone)
        leases = [LeasedSetpoint(point=p, value=v, ttl_s=2 * QUARTER_S) for p, v in wanted.items()]
        refused = [r for r in plant.write(epoch, 2 * k + 2, leases) if not r.accepted]
        if refused:
            raise RefusedError(refused[0].reason, f"the plan's {refused[0].point} was refused")
        held = set(wanted)
        plant.advance(QUARTER_S)
    return plant.log.frame(site.step_s)


def main() -> None:
    """Write telemetry.parquet."""
    parser = argparse.ArgumentParser(description="Record the microgrid's telemetry.")
    parser.add_argument("--out", type=Path, default=PACK / "data" / "telemetry.parquet")
    given = parser.parse_args()
    frame = record()
    digits = {"degc": 3, "pct": 2, "kw": 3, "m2": 1}
    rounded = {n: np.round(c, digits[n.rsplit("_", 1)[1]]) for n, c in frame.columns.items()}
    write_frame(given.out, Frame(frame.start, frame.step_s, rounded))
    ends = frame.end.astimezone(UTC)
    print(f"{given.out}: {len(frame)} rows to {ends:%Y-%m-%d %H:%M} UTC, "
          f"{given.out.stat().st_size / 1024:.0f} KiB")  # fmt: skip


if __name__ == "__main__":
    main()
