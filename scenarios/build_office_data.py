"""Records the office packs' telemetry on EnergyPlus, and lays their carbon series.

    python -m scenarios.build_office_data CITYLEARN_WHEEL [--site office_small] [--out DIR]

Two blocks of six weeks, winter and summer, under the building's own law. An identification needs
inputs that move by themselves, so a seeded plan excites each zone through the plant's ordinary
write interface: on three days of five, one or two stretches of 2 to 8 h, at any time of day or
night, in which the zone's heating setpoint is one of 18 to 23 degC and its cooling setpoint 1 to
4 K above, at least 20. All else is the building's own law, as is the whole week before the winter
block. Everything changes on the quarter of an hour, so the recorded means are exact.

`CityLearn-2.2b0` is the wheel that `scenarios.build_microgrid_data` takes its carbon series from.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from graph.errors import RefusedError
from graph.plant import LeasedSetpoint
from graph.site import Site
from graph.sitepack import SitePack, load_site
from graph.telemetry import Frame, write_frame
from scenarios.build_microgrid_data import CITYLEARN, carbon, read_member, write_series
from scenarios.plants import build_plant

SEED = 9
DAY = timedelta(days=1)
QUIET_START = datetime.fromisoformat("2025-11-24T00:00:00-08:00")
WINTER = (
    datetime.fromisoformat("2025-12-01T00:00:00-08:00"),
    datetime.fromisoformat("2026-01-12T00:00:00-08:00"),
)
SUMMER = (
    datetime.fromisoformat("2026-06-01T00:00:00-07:00"),
    datetime.fromisoformat("2026-07-13T00:00:00-07:00"),
)
CARBON = (
    datetime.fromisoformat("2025-11-01T00:00:00+00:00"),
    datetime.fromisoformat("2026-08-08T00:00:00+00:00"),
)
EXCITED_SHARE = 0.6
HEATING_DEGC = (18.0, 19.0, 20.0, 21.0, 22.0, 23.0)
GAP_K = (1.0, 1.5, 2.0, 3.0, 4.0)
LOWEST_COOLING_DEGC = 20.0  # the site's least cooling setpoint
HOURS = (2, 8)
DIGITS = {"degc": 3, "kw": 4, "m2": 1}

Pair = tuple[float, float]  # heating and cooling setpoint, degC


def zone_plan(steps: int, steps_a_day: int, rng: np.random.Generator) -> list[Pair | None]:
    """A zone's setpoints in each step, None where its own law holds; length `steps`."""
    plan: list[Pair | None] = [None] * steps
    for day in range(0, steps, steps_a_day):
        if rng.random() >= EXCITED_SHARE:
            continue
        for _ in range(int(rng.integers(1, 3))):
            begin = day + int(rng.integers(0, steps_a_day))
            length = int(rng.integers(HOURS[0], HOURS[1] + 1)) * steps_a_day // 24
            heating = float(rng.choice(HEATING_DEGC))
            pair = (heating, max(heating + float(rng.choice(GAP_K)), LOWEST_COOLING_DEGC))
            plan[begin : begin + length] = [pair] * len(plan[begin : begin + length])
    return plan


def excitation(site: Site, steps: int, season: int) -> Iterator[dict[str, float]]:
    """Commands of each step. Every zone and season has a stream of its own."""
    zones = [z.id for z in site.of_kind("zone")]
    streams = np.random.SeedSequence([SEED, season]).spawn(len(zones))
    day = 86_400 // site.step_s
    plans = [zone_plan(steps, day, np.random.default_rng(s)) for s in streams]
    for k in range(steps):
        yield {
            f"{zone}.{side}_setpoint_degc": value
            for zone, plan in zip(zones, plans, strict=True)
            for side, value in zip(("heating", "cooling"), plan[k] or (), strict=False)
        }


def record(
    pack: SitePack, block: tuple[datetime, datetime], season: int, quiet_from: datetime
) -> Frame:
    """The plant's log from `quiet_from` (own law) through the excited `block`, on its step."""
    step = timedelta(seconds=pack.site.step_s)
    plant = build_plant(pack, quiet_from, SEED)
    try:
        if block[0] > quiet_from:
            plant.advance((block[0] - quiet_from).total_seconds())
        epoch, held = plant.claim("recorder"), set[str]()
        plan = excitation(pack.site, round((block[1] - block[0]) / step), season)
        for k, wanted in enumerate(plan):
            plant.release(epoch, 2 * k, sorted(held - wanted.keys()))
            leases = [
                LeasedSetpoint(point=p, value=v, ttl_s=2 * pack.site.step_s)
                for p, v in wanted.items()
            ]
            refused = [r for r in plant.write(epoch, 2 * k + 1, leases) if not r.accepted]
            if refused:
                raise RefusedError(refused[0].reason, f"the plan's {refused[0].point} was refused")
            held = set(wanted)
            plant.advance(pack.site.step_s)
        return plant.log.frame(pack.site.step_s)
    finally:
        plant.close()


def joined(first: Frame, second: Frame) -> Frame:
    """Both on one grid, NaN in between."""
    gap = round((second.start - first.end).total_seconds() / first.step_s) - 1
    columns = {
        n: np.concatenate([a, np.full(gap, np.nan), second.columns[n]])
        for n, a in first.columns.items()
    }
    return Frame(first.start, first.step_s, columns)


def rounded(frame: Frame) -> Frame:
    """Three digits of a degree, a tenth of a watt: far below any instrument, and a smaller file."""
    columns = {n: np.round(c, DIGITS[n.rsplit("_", 1)[1]]) + 0.0 for n, c in frame.columns.items()}
    return Frame(frame.start, frame.step_s, columns)


def main() -> None:
    """Write telemetry.parquet and carbon.parquet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("citylearn_wheel", type=Path)
    parser.add_argument("--site", choices=["office_small", "office_medium"], default="office_small")
    parser.add_argument("--out", type=Path, help="default: the pack's data folder")
    given = parser.parse_args()
    folder = Path(__file__).parent / given.site
    out = given.out or folder / "data"
    out.mkdir(parents=True, exist_ok=True)
    rows = read_member(given.citylearn_wheel, CITYLEARN + "carbon_intensity.csv")
    hours = int((CARBON[1] - CARBON[0]) / timedelta(hours=1))
    ends = [CARBON[0] + timedelta(hours=k + 1) for k in range(hours)]
    write_series(out / "carbon.parquet", ends, {"g_per_kwh": np.round(carbon(rows, ends), 1)})
    pack = load_site(folder)
    winter = record(pack, WINTER, 0, QUIET_START)
    summer = record(pack, SUMMER, 1, SUMMER[0])
    frame = rounded(joined(winter, summer))
    write_frame(out / "telemetry.parquet", frame)
    size = (out / "telemetry.parquet").stat().st_size / 1024
    print(f"{out / 'telemetry.parquet'}: {len(frame)} rows to "
          f"{frame.end.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {size:.0f} KiB")  # fmt: skip


if __name__ == "__main__":
    main()
