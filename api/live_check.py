"""Reads the plant once and compares it with what the site pack says. Writes nothing."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from graph.clock import Clock, SystemClock
from graph.errors import UnavailableError
from graph.plant import PlantReader, Readings
from graph.record import iso
from graph.signals import Quality, Role, SignalSpec
from graph.simulators import BoptestSimulator
from graph.site import Site
from graph.sitepack import SitePack

# Tariffs and schedules go by the plant's clock: a minute is a gate's cycle, more is a wrong clock.
CLOCK_TOLERANCE_S = 60.0
# A sensor stamps by its own clock, which may run ahead of the plant's a little.
AHEAD_TOLERANCE_S = 5.0
NO_WRITES = (
    "nothing was written: whether commands arrive, with the right sign, can only be checked "
    "through the gate, in canary, with a person at the plant"
)


def check_live(site: Site, clock: Clock | None = None) -> list[dict[str, Any]]:
    """One line a point and one for each of the plant's own signs, as {check, ok, detail}.

    1. The plant answers. 2. Its clock is right (an emulated plant keeps its own time). 3. Each
    signal is there, of good quality, inside its range and fresh. 4. Each setpoint's owner is known.
    5. The plant's watchdog and its local/remote switch say yes. 6. What was not checked is said.
    Never raises for what the plant does.
    """
    if isinstance(site.plant.simulator, BoptestSimulator):
        from scenarios.boptest.live import check_boptest

        return check_boptest(site, site.plant.simulator)
    if site.plant.adapter != "opcua" or not site.plant.endpoint:
        detail = f"adapter {site.plant.adapter}, endpoint {site.plant.endpoint!r}: nothing to read"
        return [_line("plant", False, detail)]
    try:
        image = _read_once(site)
    except UnavailableError as error:  # 1
        return [_line("plant", False, str(error)), _line("writes", True, NO_WRITES)]
    now = (clock or SystemClock()).now()
    return [
        _line("plant", True, f"{site.plant.endpoint} answers"),
        _clock_line(site, image, now),  # 2
        *(_point_line(spec, image) for spec in site.signals),  # 3, 4
        *_guard_lines(image),  # 5
        _line("writes", True, NO_WRITES),  # 6
    ]


def _read_once(site: Site) -> Readings:
    from api.assemble import opcua_reader

    # The reader wants a pack; a live check has no use for the rest of one.
    pack = SitePack(Path(), site, "", {}, None, (), ())
    reader: PlantReader = opcua_reader(site.plant.endpoint, pack)
    try:
        return reader.read()
    finally:
        reader.close()


def _clock_line(site: Site, image: Readings, now: datetime) -> dict[str, Any]:
    off_s = (image.time - now).total_seconds()
    said = f"the plant says {iso(image.time)}"
    if site.plant.emulator is not None:
        return _line("clock", True, f"{said} (emulated: it keeps its own time)")
    good = abs(off_s) <= CLOCK_TOLERANCE_S
    return _line("clock", good, said if good else f"{said}, {off_s:+.0f} s from this machine's")


def _point_line(spec: SignalSpec, image: Readings) -> dict[str, Any]:
    wrong = list(_faults(spec, image))
    reading = image.values.get(spec.id)
    shown = "" if reading is None or reading.value is None else f"{reading.value:g} {spec.unit}"
    if spec.role is Role.SETPOINT and spec.id in image.points:
        state = image.points[spec.id]
        shown += f", owner {state.owner.value}" + (f" ({state.by})" if state.by else "")
    return _line(spec.id, not wrong, "; ".join([*([shown] if shown else []), *wrong]))


def _faults(spec: SignalSpec, image: Readings) -> Iterator[str]:
    reading = image.values.get(spec.id)
    if reading is None or reading.value is None:
        yield f"no value: the node s={spec.id} is not there, or is bad"
    else:
        if reading.quality is not Quality.GOOD:
            yield f"quality {reading.quality.value}"
        if not spec.minimum <= reading.value <= spec.maximum:
            yield f"outside [{spec.minimum:g}, {spec.maximum:g}] {spec.unit}: wrong unit or scale?"
        yield from _age_faults(spec, (image.time - reading.time).total_seconds())
    if spec.role is Role.SETPOINT and spec.id not in image.points:
        yield f"owner unknown: s={spec.id}#owner must say local, remote or operator"


def _age_faults(spec: SignalSpec, age_s: float) -> Iterator[str]:
    if age_s < -AHEAD_TOLERANCE_S:
        yield f"stamped {-age_s:.0f} s ahead of the plant's time"
    # A setpoint that nobody changes keeps its old stamp, and rightly so.
    elif spec.role is not Role.SETPOINT and age_s > spec.stale_after_s:
        yield f"{age_s:.0f} s old, late after {spec.stale_after_s:.0f} s"


def _guard_lines(image: Readings) -> Iterator[dict[str, Any]]:
    """The reader takes what it cannot read for a no, so these two cannot be told apart here."""
    for name, node, good, yes, no in (
        ("local/remote", "plant#remote_allowed", image.remote_allowed, "remote is allowed",
         "stands on local"),
        ("watchdog", "plant#watchdog_healthy", image.watchdog_healthy, "healthy", "has tripped"),
    ):  # fmt: skip
        yield _line(name, good, yes if good else f"{no}, or s={node} is not there")


def _line(check: str, ok: bool, detail: str) -> dict[str, Any]:
    return {"check": check, "ok": ok, "detail": detail}
