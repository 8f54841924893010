"""`bench citylearn`: five houses' batteries in CityLearn 2022, beside what was published.

Two windows of `citylearn_challenge_2022_phase_all`, buildings 1 to 5: hours 0 to 2879 (P1) and 2880
to 5759 (P2). CityLearn runs in an environment of its own and gives the score; see
`api/citylearn/score.py`. The second window begins with what was observed in the first. The rule and
the plan with perfect forecasts are replayed on our battery model, which the same run compares with
CityLearn's, hour by hour.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from api.bench_figure import Figure
from api.citylearn.controller import (
    DistrictController,
    Forecasts,
    Foresight,
    Past,
    PerfectForesight,
    Unhedged,
    Window,
)
from api.citylearn.environment import (
    CityLearnEnvironment,
    District,
    Hour,
    Verdict,
    installed_python,
)
from api.citylearn.replay import TimeOfUseRule, replay
from api.citylearn.score import score, score_terms
from api.citylearn.site import fleet, forecaster
from api.sites import SCENARIOS
from planner.lead_forecast import Observed

Array = NDArray[np.float64]
Say = Callable[[str], None]
SITE = SCENARIOS / "citylearn"
BUILDINGS = (1, 5)
QUICK_HOURS = 14 * 24
MODEL_KW = 1e-4  # CityLearn keeps charges in single precision


@dataclass(frozen=True)
class Phase:
    """A window and what D. Voitekh and A. Tymoshenko published for it (mpc-gap-citylearn)."""

    name: str
    start: int
    hours: int
    practical: float | None = None
    perfect: float | None = None
    floor: float | None = None
    persistence: float | None = None


PHASES = (
    Phase("P1", 0, 2880, 0.834, 0.684, 0.650, 0.852),
    Phase("P2", 2880, 2880, 0.879, 0.734, 0.703, 0.905),
)
QUICK = (Phase(f"first {QUICK_HOURS // 24} days of P1", 0, QUICK_HOURS),)


@dataclass(frozen=True)
class Run:
    """A window under our controller: CityLearn's verdict, what was observed, what was asked of the
    batteries, (B, hours - 1) kW, and the ms of processor time of each decision."""

    district: District
    verdict: Verdict
    rows: tuple[Observed, ...]
    asked_kw: Array
    decision_ms: Array


def run_bench(*, quick: bool, say: Say, python: Path | None = None) -> list[Figure]:
    """Every figure, in one run. Raises UnavailableError where CityLearn cannot be installed."""
    python = python or installed_python(say)
    figures: list[Figure] = []
    past = Past()
    for phase in QUICK if quick else PHASES:
        say(f"{phase.name}: our forecasts, in CityLearn")
        run = controlled(python, phase, past, say)
        figures += _figures(phase, run, past, say)
        hours = len(run.rows)
        past = Past(run.rows, run.district.price[:hours], run.district.carbon[:hours])
    return figures


def controlled(python: Path, phase: Phase, past: Past, say: Say) -> Run:
    """Our controller through the real environment."""
    with CityLearnEnvironment(
        python, BUILDINGS, phase.start, phase.start + phase.hours - 1
    ) as environment:
        district = environment.district
        rated = district.pv_rated_kw
        foresight = Forecasts(forecaster(SITE, rated), len(rated))
        window = Window(district.hours, district.price, district.carbon)
        controller = DistrictController(fleet(SITE), foresight, window, past)
        hour, rows = environment.first, [environment.first.observed]
        asked, spent = [], []
        for k in range(district.hours - 1):
            begun = time.process_time()
            power = controller.decide(hour.observed, hour.charge_kwh, hour.net_kw)
            spent.append(1e3 * (time.process_time() - begun))
            hour = environment.step(power)
            asked.append(power)
            rows.append(hour.observed)
            if (k + 1) % 480 == 0:
                say(f"  {k + 1} of {district.hours} hours")
        verdict = environment.verdict()
        return Run(district, verdict, tuple(rows), np.array(asked).T, np.array(spent))


def _figures(phase: Phase, run: Run, past: Past, say: Say) -> list[Figure]:
    district, verdict, name = run.district, run.verdict, phase.name
    without = verdict.without_kw
    price, carbon = (s[: district.hours] for s in (district.price, district.carbon))
    mine = score(verdict.terms)
    ours = score_terms(verdict.net_kw, without, price, carbon)
    say(f"{name}: perfect forecasts, forecasts taken for certain and the rule, replayed")
    rule = score(score_terms(_by_rule(run), without, price, carbon))
    perfect = score_terms(_with(run, PerfectForesight(without)), without, price, carbon)
    own = Forecasts(forecaster(SITE, district.pv_rated_kw), len(without))
    bare = score_terms(_with(run, Unhedged(own), past), without, price, carbon)
    published = phase.practical is not None
    beside = (
        f"; published: best practical MPC {phase.practical}, persistence {phase.persistence}"
        if published else ""
    )  # fmt: skip
    known = (
        f"; published: MPC {phase.perfect}, full horizon {phase.floor}" if published else ""
    )  # fmt: skip
    limit = phase.practical if phase.practical is not None else rule
    off = max(abs(ours[k] - verdict.terms[k]) for k in ours)
    spent = run.decision_ms
    return [
        Figure(f"{name}: score, our forecasts", mine, "1", limit,
               note=_terms(verdict.terms) + beside),
        Figure(f"{name}: score, perfect forecasts", score(perfect), "1",
               note=_terms(perfect) + known),
        Figure(f"{name}: score, our forecasts taken for certain", score(bare), "1",
               note=_terms(bare)),
        Figure(f"{name}: score, time-of-use rule", rule, "1"),
        Figure(f"{name}: score, no battery", 1.0, "1", note="by definition"),
        Figure(f"{name}: our score function against CityLearn's", off, "1", MODEL_KW),
        Figure(f"{name}: our battery model against CityLearn's", _model_error(run), "kW", MODEL_KW),
        Figure(f"{name}: a decision (processor)", float(np.median(spent)), "ms",
               note=f"p95 {np.percentile(spent, 95):.0f}, in all {spent.sum() / 1e3:.0f} s"),
    ]  # fmt: skip


def _terms(terms: object) -> str:
    assert isinstance(terms, dict)
    return ", ".join(f"{k.replace('_', ' ')} {v:.3f}" for k, v in terms.items())


def _by_rule(run: Run) -> Array:
    capacity = np.array([b.capacity_kwh for b in run.district.batteries])
    return replay(
        run.rows, run.district.batteries, run.district.most_action, TimeOfUseRule(capacity)
    )  # fmt: skip


def _with(run: Run, foresight: Foresight, past: Past | None = None) -> Array:
    """Net loads under our controller with another foresight, replayed on our battery model."""
    district = run.district
    window = Window(district.hours, district.price, district.carbon)
    controller = DistrictController(fleet(SITE), foresight, window, past)

    def decide(hour: Hour) -> Array:
        return controller.decide(hour.observed, hour.charge_kwh, hour.net_kw)

    return replay(run.rows, district.batteries, district.most_action, decide)


def _model_error(run: Run) -> float:
    """Greatest difference between CityLearn's meter and our battery model asked the same."""
    courses = iter(run.asked_kw.T)
    net = replay(run.rows, run.district.batteries, run.district.most_action,
                 lambda _: next(courses))  # fmt: skip
    return float(np.max(np.abs(net - run.verdict.net_kw)))
