"""Data quality: each reading and its recent history against the signal's own declaration."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise

from graph.evaluation import Evidence, Finding
from graph.signals import Quality, Reading, Role, SignalSpec
from graph.site import Site
from graph.snapshot import Snapshot

MISSING_SHARE = 0.2  # of the last hours' samples; the estimator bridges fewer without harm
AT_SETPOINT_K, MOVING_KW = 0.1, 0.001
LEAST_GAP_S = 60.0  # over less, a sensor's noise looks like a fast change

Problem = tuple[str, Evidence]
Check = Callable[[SignalSpec, Reading | None, Snapshot], Problem | None]


def quality_findings(site: Site, snapshot: Snapshot) -> list[Finding]:
    """One finding a fault of a measurement; a critical one that is unusable now is shed."""
    return [
        Finding(
            kind="data_quality",
            subject=spec.id,
            cause=cause,
            probability=1.0,
            evidence=(evidence,),
            action="shed" if spec.critical and now else "watch",
        )
        for spec in site.signals
        if spec.role is not Role.SETPOINT
        for now, (cause, evidence) in _problems(spec, snapshot)
    ]


def _problems(spec: SignalSpec, snapshot: Snapshot) -> Iterator[tuple[bool, Problem]]:
    """Whether the present value is unusable, and why. The first fault of the present is enough."""
    reading = snapshot.readings.get(spec.id)
    present: tuple[Check, ...] = (_absent, _bad, _stale, _range, _rate, _stuck)
    for check in present:
        problem = check(spec, reading, snapshot)
        if problem is not None:
            yield True, problem
            break
    past: tuple[Check, ...] = (_uncertain, _gaps)
    for check in past:
        problem = check(spec, reading, snapshot)
        if problem is not None:
            yield False, problem


def _absent(spec: SignalSpec, reading: Reading | None, _: Snapshot) -> Problem | None:
    if reading is not None and reading.value is not None:
        return None
    return f"{spec.id} has no value", Evidence(what="values present", value=0, limit=1)


def _bad(spec: SignalSpec, reading: Reading | None, _: Snapshot) -> Problem | None:
    if reading is None or reading.quality is not Quality.BAD:
        return None
    return f"{spec.id} is reported as bad", Evidence(what="usable by its quality", value=0, limit=1)


def _uncertain(spec: SignalSpec, reading: Reading | None, _: Snapshot) -> Problem | None:
    if reading is None or reading.quality is not Quality.UNCERTAIN:
        return None
    return (
        f"{spec.id} is reported as uncertain",
        Evidence(what="good by its quality", value=0, limit=1),
    )


def _stale(spec: SignalSpec, reading: Reading | None, snapshot: Snapshot) -> Problem | None:
    assert reading is not None
    age = (snapshot.as_of - reading.time).total_seconds()
    if -1.0 <= age <= spec.stale_after_s:
        return None
    word = "is stale" if age > 0 else "comes from the future"
    return f"{spec.id} {word}", Evidence(what="age", value=age, limit=spec.stale_after_s, unit="s")


def _range(spec: SignalSpec, reading: Reading | None, _: Snapshot) -> Problem | None:
    assert reading is not None
    assert reading.value is not None
    if spec.minimum <= reading.value <= spec.maximum:
        return None
    limit = spec.minimum if reading.value < spec.minimum else spec.maximum
    return (
        f"{spec.id} is outside what it can measure",
        Evidence(what="value", value=reading.value, limit=limit, unit=spec.unit),
    )


def _rate(spec: SignalSpec, reading: Reading | None, snapshot: Snapshot) -> Problem | None:
    """Fastest change between neighbouring samples of the last hour and up to the present one."""
    if spec.max_rate_per_s is None:
        return None
    step_s = snapshot.history.step_s
    samples = list(snapshot.history.signals.get(spec.id, ()))
    recent = samples[-(1 + 3600 // step_s) :]
    rates = [abs(b - a) / step_s for a, b in pairwise(recent) if a is not None and b is not None]
    if samples and samples[-1] is not None and reading is not None and reading.value is not None:
        last = snapshot.history.start + timedelta(seconds=step_s * (len(samples) - 1))
        gap_s = (reading.time - last).total_seconds()
        if gap_s >= LEAST_GAP_S:
            rates.append(abs(reading.value - samples[-1]) / gap_s)
    fastest = max(rates, default=0.0)
    if fastest <= spec.max_rate_per_s:
        return None
    return (
        f"{spec.id} changed faster than it can",
        Evidence(
            what="rate", value=fastest, limit=spec.max_rate_per_s, unit=f"{spec.unit} a second"
        ),
    )


def _stuck(spec: SignalSpec, reading: Reading | None, snapshot: Snapshot) -> Problem | None:
    if spec.stuck_after_s is None or reading is None:
        return None
    unchanged_s = 0.0
    for sample in reversed(snapshot.history.signals.get(spec.id, ())):
        if sample is None or sample != reading.value:
            break
        unchanged_s += snapshot.history.step_s
    if unchanged_s < spec.stuck_after_s or _held(spec, reading.value, snapshot, unchanged_s):
        return None
    return (
        f"{spec.id} is stuck at one value",
        Evidence(what="unchanged for", value=unchanged_s, limit=spec.stuck_after_s, unit="s"),
    )


def _held(spec: SignalSpec, value: float | None, snapshot: Snapshot, unchanged_s: float) -> bool:
    """Whether a control loop may hold the room there: it is at a setpoint and its heat moves."""
    signals, rows = snapshot.history.signals, int(unchanged_s // snapshot.history.step_s)
    if value is None or not spec.id.endswith(".temp_degc") or not rows:
        return False
    heat = [h for h in signals.get(f"{spec.asset}.heat_kw", ())[-rows:] if h is not None]
    near = any(
        s is not None and abs(s - value) <= AT_SETPOINT_K
        for name, values in signals.items()
        if name.startswith(f"{spec.asset}.") and name.endswith("setpoint_degc")
        for s in values[-rows:]
    )
    moves = [abs(b - a) > MOVING_KW for a, b in pairwise(heat)]
    return near and sum(moves) * 2 > len(moves)


def _gaps(spec: SignalSpec, _: Reading | None, snapshot: Snapshot) -> Problem | None:
    samples = snapshot.history.signals.get(spec.id, ())
    if not samples:
        return None
    share = sum(s is None for s in samples) / len(samples)
    if share <= MISSING_SHARE:
        return None
    return (
        f"{spec.id} lacks many recent samples",
        Evidence(what="share missing", value=share, limit=MISSING_SHARE),
    )
