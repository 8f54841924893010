"""`bench calibration`: do stated probabilities come true, do intervals hold what they say?

Held-back days that no twin has seen are stated and counted (`calibration_cases`). The corrections
are fitted on calibration days before the test days; both the statements as made and the corrected
ones are judged on the test days, with intervals from resampled days.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api.calibration_cases import (
    KPIS,
    Block,
    Case,
    blocks_of,
    cases_of,
    events,
    origins_of,
    recorded_block,
)
from graph.errors import InputError
from graph.site import Site
from graph.sitepack import load_site
from sandbox.calibration import (
    LEVEL,
    Correction,
    Coverage,
    Reliability,
    coverage,
    needed_stretch,
    reliability,
    to_report,
)
from sandbox.parameters import load_parameters, save_parameters
from sandbox.probability_fit import fit_bend

Array = NDArray[np.float64]
Say = Callable[[str], None]
CALIBRATION_DAYS, TEST_DAYS = 28, 62
QUICK_CALIBRATION_DAYS, QUICK_TEST_DAYS = 8, 10
FUTURES = 200
WORKERS = 2
CHUNK = 8  # moments a task: the twin is read once each
STATED = 0.05  # the probability whose truth is checked


@dataclass(frozen=True)
class Verdict:
    """One promise beside what was found."""

    name: str
    value: float
    low: float
    high: float
    unit: str
    promise: str
    ok: bool | None
    note: str = ""

    def row(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name, "value": self.value, "low": self.low, "high": self.high,
            "unit": self.unit, "target": self.promise, "ok": self.ok, "note": self.note,
        }  # fmt: skip

    def text(self) -> str:
        """For a terminal."""
        mark = {None: "", True: "ok", False: "MISSED"}[self.ok]
        found = f"{self.value:8.3f} ({self.low:.3f} to {self.high:.3f}) {self.unit}"
        return f"{self.name:61}{found:36}{self.promise:28}{mark:8}{self.note}"


@dataclass(frozen=True)
class Findings:
    """Statements on the test days as made and corrected, and the correction to keep.

    everywhere: by what happens, statements as made on all days, those learned from included.
    """

    site: str
    calibration_days: int
    test_days: int
    first_test_day: str
    raw: Reliability
    corrected: Reliability
    everywhere: dict[str, Reliability]
    everywhere_intervals: dict[str, Coverage]
    raw_intervals: dict[str, Coverage]
    intervals: dict[str, Coverage]
    ranks: dict[str, Array]
    correction: Correction
    units: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether every promise is kept by the corrected statements."""
        return all(v.ok is not False for v in self.verdicts())

    def verdicts(self) -> list[Verdict]:
        """The promises, in order."""
        found = _probability_verdicts(self.raw, "as stated", judged=False)
        found += _probability_verdicts(self.corrected, "corrected", judged=True)
        for what, rows in self.everywhere.items():
            found += _near_verdicts(rows, f"stated, {what}", judged=False)
        for name in KPIS:
            stated, kept = self.raw_intervals[name], self.intervals[name]
            found += _interval_verdicts(name, stated, "as stated", self.units[name], judged=False)
            found += _interval_verdicts(name, kept, "corrected", self.units[name], judged=True)
            wide = self.everywhere_intervals[name]
            found.append(_inside_verdict(name, wide, "as stated, all days", judged=False))
        return found

    def report(self) -> dict[str, Any]:
        """What is kept with the twin: the correction and how it was found."""
        return {
            **to_report(self.correction),
            "calibration_days": self.calibration_days,
            "test_days": self.test_days,
            "brier_skill": round(self.corrected.skill.value, 4),
            "inside_90": {k: round(c.inside.value, 4) for k, c in self.intervals.items()},
        }


def run_calibration(folder: Path, *, quick: bool, say: Say) -> Findings:
    """State and count. Raises InputError for a site whose plant cannot be run."""
    pack = load_site(folder)
    days = (QUICK_CALIBRATION_DAYS, QUICK_TEST_DAYS) if quick else (CALIBRATION_DAYS, TEST_DAYS)
    blocks = blocks_of(pack, *days, earlier=not quick)
    cases = gather(folder, blocks, 100 if quick else FUTURES, say)
    return judge(cases, pack.site, {"energy": "kWh", "cost": pack.site.currency})


def gather(folder: Path, blocks: Sequence[Block], futures: int, say: Say) -> list[Case]:
    """Run the plant over the blocks and make every case, on two processes."""
    # Identical bytes need identical reductions: one BLAS thread in every worker.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    site = load_site(folder).site
    found: list[Case] = []
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        say(f"running the plant over {sum(b.days for b in blocks)} days, and fitting")
        known = list(pool.map(recorded_block, repeat(folder), blocks))
        tasks = []
        for block, (frame, twin) in zip(blocks, known, strict=True):
            moments = origins_of(site, block)
            for k in range(0, len(moments), CHUNK):
                part = moments[k : k + CHUNK]
                tasks.append(pool.submit(cases_of, folder, frame, twin, block, part, futures))
        for k, task in enumerate(tasks):
            found += task.result()
            say(f"stated {len(found)} moments ({k + 1} of {len(tasks)} parts)")
    return sorted(found, key=lambda c: c.origin)


def judge(cases: Sequence[Case], site: Site, units: dict[str, str]) -> Findings:
    """Fit the corrections on calibration days and judge them on later test days.

    Each test day is corrected by what was known before its own stretch of test days began.
    """
    tests = [c for c in cases if c.test]
    learning = [c for c in cases if not c.test]
    if not tests or not learning:
        raise InputError(
            f"{len(learning)} cases to learn from and {len(tests)} to judge",
            "the held-back days have gaps, or are too few",
        )
    corrections = corrections_for(learning, tests)
    days, n = np.array([c.day for c in tests]), len(tests[0].stated)
    stated, happened, climate = (
        np.concatenate([getattr(c, key) for c in tests])
        for key in ("stated", "happened", "climate")
    )
    corrected = np.concatenate(
        [k.probabilities(c.stated) for k, c in zip(corrections, tests, strict=True)]
    )
    by_event = np.repeat(days, n)
    return Findings(
        site=site.id,
        calibration_days=len({c.day for c in learning}),
        test_days=len(set(days.tolist())),
        first_test_day=tests[0].origin.date().isoformat(),
        raw=reliability(stated, happened, by_event, climate),
        corrected=reliability(corrected, happened, by_event, climate),
        everywhere=_everywhere(cases, site),
        everywhere_intervals={k: _coverage(cases, k, [1.0] * len(cases)) for k in KPIS},
        raw_intervals={k: _coverage(tests, k, [1.0] * len(tests)) for k in KPIS},
        intervals={k: _coverage(tests, k, [c.stretch[k] for c in corrections]) for k in KPIS},
        ranks={k: np.array([c.kpis[k][6] for c in tests]) for k in KPIS},
        correction=correction_from(learning),
        units=units,
    )


def correction_from(cases: Sequence[Case]) -> Correction:
    """What the statements of these days must be corrected by.

    Probabilities take every day. An interval's factor takes the days of the stretches that are
    judged: how far a day's energy is missed belongs to the twin that states it.
    """
    stated = np.concatenate([c.stated for c in cases])
    happened = np.concatenate([c.happened for c in cases]).astype(float)
    by_event = np.repeat([c.day for c in cases], len(cases[0].stated))
    beside = [c for c in cases if c.beside]
    days, stretch = np.array([c.day for c in beside]), {}
    for name in KPIS:
        mean, low, high, actual = np.array([c.kpis[name][:4] for c in beside]).T
        stretch[name] = needed_stretch(mean, low, high, actual, days)
    return Correction(fit_bend(stated, happened, by_event), stretch)


def corrections_for(learning: Sequence[Case], tests: Sequence[Case]) -> list[Correction]:
    """For each test, the correction from calibration days that were over before its own day."""
    made: dict[int, Correction] = {}
    found = []
    for test in tests:
        # The last case of a day reaches into the next one.
        known = [c for c in learning if c.day < test.day - 1]
        if not any(c.beside for c in known):
            raise InputError(f"no calibration day lies before {test.origin.isoformat()}")
        if len(known) not in made:
            made[len(known)] = correction_from(known)
        found.append(made[len(known)])
    return found


def _everywhere(cases: Sequence[Case], site: Site) -> dict[str, Reliability]:
    """What was stated on all days, and apart for rooms getting colder and warmer."""
    colder = np.array([below for _, _, _, below in events(site)])
    found = {}
    for what, mine in (
        ("all days", np.ones(len(colder), dtype=bool)),
        ("all days, getting colder", colder),
        ("all days, getting warmer", ~colder),
    ):
        stated, happened, climate = (
            np.concatenate([getattr(c, key)[mine] for c in cases])
            for key in ("stated", "happened", "climate")
        )
        days = np.repeat([c.day for c in cases], int(mine.sum()))
        found[what] = reliability(stated, happened, days, climate)
    return found


def _coverage(tests: Sequence[Case], name: str, stretch: Sequence[float]) -> Coverage:
    table = np.array([c.kpis[name][:6] for c in tests])
    mean, low, high, actual, climate_low, climate_high = table.T
    factor = np.array(stretch)
    days = np.array([c.day for c in tests])
    return coverage(
        mean - factor * (mean - low), mean + factor * (high - mean), actual, days,
        climate_low, climate_high,
    )  # fmt: skip


def _probability_verdicts(found: Reliability, what: str, judged: bool) -> list[Verdict]:
    return [
        Verdict(
            f"Brier skill over climatology, {what}", found.skill.value, found.skill.low,
            found.skill.high, "", "above 0", found.skill.low > 0.0 if judged else None,
            f"Brier {found.brier.value:.4f}",
        ),
        Verdict(
            f"calibration error, {what}", found.error.value, found.error.low, found.error.high, "",
            "", None, f"reliability {found.reliability:.5f}, resolution {found.resolution:.4f}",
        ),
        *_near_verdicts(found, what, judged),
    ]  # fmt: skip


def _near_verdicts(found: Reliability, what: str, judged: bool) -> list[Verdict]:
    """What happened where about `STATED` was stated; nothing where that was never stated."""
    near = next((b for b in found.bins if b.low <= STATED < b.high), None)
    if near is None:
        return []
    h = near.happened
    return [
        Verdict(
            f"happened where about 5 % was {what}", h.value, h.low, h.high, "",
            f"{near.stated:.3f} in the interval", h.holds(near.stated) if judged else None,
            f"{near.cases} cases on {near.days} days, stated {near.low:g} to {near.high:g}",
        )
    ]  # fmt: skip


def _interval_verdicts(
    name: str, found: Coverage, what: str, unit: str, judged: bool
) -> list[Verdict]:
    ratio = found.width_ratio
    return [
        _inside_verdict(name, found, what, judged),
        Verdict(
            f"its width over climatology's, {what}", ratio.value, ratio.low, ratio.high, "",
            "below 1", ratio.high < 1.0 if judged else None,
            f"{found.width:.1f} {unit} against {found.climatology_width:.1f}; interval score "
            f"{found.interval_score:.1f} against {found.climatology_score:.1f}",
        ),
    ]  # fmt: skip


def _inside_verdict(name: str, found: Coverage, what: str, judged: bool) -> Verdict:
    inside = found.inside
    return Verdict(
        f"day's {name} inside its 90 % interval, {what}", inside.value, inside.low, inside.high,
        "", f"{LEVEL:g} in the interval", inside.holds(LEVEL) if judged else None,
        f"{found.cases} cases on {found.days} days",
    )  # fmt: skip


def store_correction(folder: Path, found: Findings) -> Path:
    """Keep the correction with the site's twin; the sandbox applies it from then on."""
    pack = load_site(folder)
    path = pack.file(pack.site.twin.parameters)
    parameters = load_parameters(path)
    report = parameters.report | {"calibration": found.report()}
    save_parameters(path, parameters.model_copy(update={"report": report}))
    return path
