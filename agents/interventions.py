"""Interventions: change one cause, plan again, and see whether the decision moves as claimed.

A claim of the because-chain is worth what its intervention shows. Each one here changes exactly one
input of the planner (a price, a bound) and says what should happen to the plan.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from graph.intent import Band, Intent
from graph.plan import ActiveConstraint, Plan
from graph.site import Site
from graph.snapshot import Snapshot

Array = NDArray[np.float64]
Problem = tuple[Site, Snapshot, Intent]
Replan = Callable[[Problem, Plan], Plan]

# A claimed effect counts as shown when the intervention takes away at least this share of it;
# less is within the freedom that the solver's 1 % gap leaves to single trajectories.
SHOWN_SHARE = 0.2


@dataclass(frozen=True)
class Claim:
    """Cause and effect in words, how to intervene on the cause and how to measure the effect."""

    cause: str
    effect: str
    text: str
    unit: str
    signals: tuple[str, ...]
    intervene: Callable[[Problem], Problem]
    measure: Callable[[Plan], float]
    told: str = "without it {after:.1f} instead of {before:.1f} {unit}"


def dear_steps(snapshot: Snapshot) -> NDArray[np.bool_]:
    """Steps in which power costs more than the horizon's mean."""
    prices = np.array(snapshot.prices.import_price)
    return np.asarray(prices > prices.mean() + 1e-9)


def claims(problem: Problem, plan: Plan) -> list[Claim]:
    """What may be claimed of this plan: prices, and bounds that bind."""
    site, snapshot, intent = problem
    found = [*_price_claims(site, snapshot, plan)]
    found += [c for a in plan.active if (c := _bound_claim(site, intent, plan, a)) is not None]
    return found


def _series(plan: Plan, signal: str) -> Array:
    return np.asarray(plan.predicted.get(signal, plan.setpoints.get(signal, ())), dtype=float)


def _kwh(plan: Plan, signals: tuple[str, ...], mask: NDArray[np.bool_], sign: float) -> float:
    """Energy of the signals together in the steps of `mask`, in the direction of `sign`."""
    total = 0.0
    for signal in signals:
        values = _series(plan, signal)
        total += float(np.maximum(sign * values[mask[: len(values)]], 0.0).sum())
    return total * plan.step_s / 3600.0


def _excess_kwh(plan: Plan, signals: tuple[str, ...], cheap: NDArray[np.bool_]) -> float:
    """Energy in the cheap steps beyond what an even spread would put there."""
    total = _kwh(plan, signals, np.ones_like(cheap), 1.0)
    return _kwh(plan, signals, cheap, 1.0) - float(np.mean(cheap)) * total


def _price_claims(site: Site, snapshot: Snapshot, plan: Plan) -> list[Claim]:
    dear = dear_steps(snapshot)
    if not dear.any() or dear.all():
        return []
    prices = np.array(snapshot.prices.import_price)
    gap = f"{prices[dear].mean():.2f} against {prices[~dear].mean():.2f} {site.currency}/kWh"
    found = []
    for battery in site.of_kind("battery"):
        signals: tuple[str, ...] = (f"{battery.id}.power_kw",)
        out = _kwh(plan, signals, dear, -1.0)
        if out > 1.0:
            found.append(
                Claim(
                    cause="price spread", effect=f"{battery.id} discharges in the dear hours",
                    text=f"Power is dear in some hours ({gap}), so the "
                    f"{battery.label or battery.id} gives {out:.0f} kWh there",
                    unit="kWh", signals=signals, intervene=flat_prices,
                    measure=partial(_kwh, signals=signals, mask=dear, sign=-1.0),
                )
            )  # fmt: skip
    for name, label, signals in _machines(site):
        total = _kwh(plan, signals, np.ones_like(dear), 1.0)
        cheap = _kwh(plan, signals, ~dear, 1.0)
        share = float(np.mean(~dear))
        if total > 1.0 and cheap / total > share + 0.05:
            reason = "For the same reason" if found else f"Power is dear in some hours ({gap}), so"
            found.append(
                Claim(
                    cause="price spread", effect=f"{name} run before the dear hours",
                    text=f"{reason} {cheap / total:.0%} of the energy of {label} falls into the "
                    f"cheap hours, which are {share:.0%} of the time",
                    unit="kWh in excess of an even spread", signals=signals,
                    intervene=flat_prices,
                    measure=partial(_excess_kwh, signals=signals, cheap=~dear),
                )
            )  # fmt: skip
    return found


def _machines(site: Site) -> list[tuple[str, str, tuple[str, ...]]]:
    """Name, what to call it, and power signals of each heat pump, and of all air units together."""
    found: list[tuple[str, str, tuple[str, ...]]] = [
        (pump.id, f"the {pump.label or pump.id}", (f"{pump.id}.power_kw",))
        for pump in site.of_kind("heat_pump")
    ]
    units = site.of_kind("air_unit")
    if units:
        found.append(("air units", "the air units", tuple(f"{u.id}.power_kw" for u in units)))
    return found


def flat_prices(problem: Problem) -> Problem:
    """The same day at its mean price."""
    site, snapshot, intent = problem
    p = snapshot.prices
    mean = float(np.mean(p.import_price))
    flat = p.model_copy(update={"import_price": (mean,) * len(p.import_price)})
    return site, snapshot.model_copy(update={"prices": flat}), intent


def _bound_claim(site: Site, intent: Intent, plan: Plan, active: ActiveConstraint) -> Claim | None:
    """Relax a band of the intent by one unit: the objective should fall by about the multiplier."""
    if active.signal is None or plan.objective is None:
        return None
    if any(name.startswith(active.id) for name in plan.slack):
        return None  # it is broken from the start: its price is a penalty, not money
    index = next(
        (
            k
            for k, c in enumerate(intent.constraints)
            if isinstance(c, Band) and active.signal in c.signals
        ),
        None,
    )
    if index is None or abs(active.multiplier) < 1e-6:
        return None

    def relaxed(problem: Problem) -> Problem:
        s, snap, wanted = problem
        band = wanted.constraints[index]
        assert isinstance(band, Band)
        looser = band.model_copy(
            update={
                "minimum": None if band.minimum is None else band.minimum - 1.0,
                "maximum": None if band.maximum is None else band.maximum + 1.0,
            }
        )
        listed = tuple(looser if k == index else c for k, c in enumerate(wanted.constraints))
        return s, snap, wanted.model_copy(update={"constraints": listed})

    unit = site.signal(active.signal).unit
    reference = plan.objective

    def still_paid(other: Plan) -> float:
        """The bound's price, less what `other` saves against this plan."""
        saved = 0.0 if other.objective is None else reference - other.objective
        return active.multiplier - saved

    return Claim(
        cause=active.label, effect="cost of the plan",
        text=f"{active.label} binds; one {unit} more room would save about "
        f"{active.multiplier:.2f} {site.currency}",
        unit=site.currency, signals=(active.signal,), intervene=relaxed,
        told="giving it that room saved {difference:.2f} {unit}",
        measure=still_paid,
    )  # fmt: skip
