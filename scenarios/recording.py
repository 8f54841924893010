"""Records a simulated plant's telemetry: under its own law, with or without excitation.

Commands go through the plant's ordinary write interface, so what is recorded is what the same
commands would do later.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from graph.errors import InputError, RefusedError
from graph.plant import LeasedSetpoint
from graph.record import as_utc, iso
from graph.sitepack import SitePack
from graph.telemetry import Frame, read_frame, write_frame
from scenarios.excitation import Array, excitation
from scenarios.plants import build_plant

Say = Callable[[str], None]
DAY_S = 86_400
# Decimals kept by what the end of a signal's name says; what sensors resolve is coarser.
DECIMALS = {"degc": 3, "kw": 4, "kwh": 4, "pct": 3, "m2": 1, "cm": 3, "v": 3}
OTHER_DECIMALS = 6


def record(
    pack: SitePack, start: datetime, days: float, seed: int, *, excite: bool = True,
    say: Say = lambda _: None,
) -> Frame:  # fmt: skip
    """`days` of the pack's plant from `start`, on the site's step.

    seed: of the plant's disturbances and of the excitation.

    Raises:
        InputError: no whole number of the site's steps, or no plant that can be stepped.
        UnavailableError: the plant is not installed, does not answer, or gave up.
        RefusedError: the plant refuses a command of the plan.
    """
    site = pack.site
    steps = round(days * DAY_S / site.step_s)
    if steps < 2 or start.timestamp() % site.step_s:
        raise InputError(
            f"cannot record {days:g} days from {iso(start)}",
            f"start on a whole step of {site.step_s} s, and record two at least",
        )
    plan = excitation(site, start, steps, seed) if excite else {}
    plant = build_plant(pack, start, seed)
    try:
        _run(plant, plan, steps, site.step_s, say)
        frame: Frame = plant.log.frame(site.step_s)
    finally:
        close = getattr(plant, "close", None)  # an emulator in this process holds nothing
        if close is not None:
            close()
    return rounded(frame)


def _run(plant: Any, plan: dict[str, Array], steps: int, step_s: int, say: Say) -> None:
    epoch, seq, held = plant.claim("recorder"), 0, set[str]()
    a_day = max(DAY_S // step_s, 1)
    for k in range(steps):
        wanted = {p: float(v[k]) for p, v in plan.items() if not np.isnan(v[k])}
        plant.release(epoch, seq + 1, sorted(held - wanted.keys()))
        leases = [LeasedSetpoint(point=p, value=v, ttl_s=2.0 * step_s) for p, v in wanted.items()]
        refused = [r for r in plant.write(epoch, seq + 2, leases) if not r.accepted]
        if refused:
            raise RefusedError(refused[0].reason, f"the plant refuses {refused[0].point}")
        seq, held = seq + 2, set(wanted)
        plant.advance(step_s)
        if (k + 1) % a_day == 0:
            say(f"{iso(plant.time)}: {(k + 1) // a_day} of {steps / a_day:g} days")


def rounded(frame: Frame) -> Frame:
    """Fewer decimals, for a smaller file."""
    columns = {
        n: np.round(c, DECIMALS.get(n.rsplit("_", 1)[-1], OTHER_DECIMALS))
        for n, c in frame.columns.items()
    }
    return Frame(frame.start, frame.step_s, columns)


def joined(first: Frame, later: Frame) -> Frame:
    """Two recordings in one frame; the time between them is missing samples.

    Raises:
        InputError: they overlap, or differ in step, grid or columns.
    """
    gap_s = (later.start - first.end).total_seconds() - first.step_s
    if gap_s < 0 or later.step_s != first.step_s or gap_s % first.step_s:
        raise InputError(
            f"a recording from {iso(later.start)} does not come after {iso(first.end)}",
            "record in order of time, on one grid, without overlap",
        )
    rows = int(gap_s // first.step_s)
    if rows:
        missing = Frame(
            first.end + timedelta(seconds=first.step_s),
            first.step_s,
            {n: np.full(rows, np.nan) for n in first.columns},
        )
        first = first.append(missing)
    return first.append(later)


def write_recording(pack: SitePack, frame: Frame, *, append: bool = False) -> Path:
    """Write the pack's telemetry file, or extend it. Raises InputError; see `joined`."""
    path = pack.file(pack.site.data.telemetry)
    if path.suffix != ".parquet":
        raise InputError(
            f"{pack.site.data.telemetry} is not Parquet", "set data.telemetry to a .parquet file"
        )
    if append and path.exists():
        frame = joined(read_frame(path), frame)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_frame(path, frame)
    return path


def recorded_span(frame: Frame) -> tuple[datetime, datetime]:
    """Begin of the first and end of the last interval."""
    return as_utc(frame.start) - timedelta(seconds=frame.step_s), frame.end
