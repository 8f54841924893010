"""Why this plan: a because-chain whose links are checked, effects measured in the twin, and what
would have to change for the decision to change.

1. Claims come from the solve (active bounds, prices, weather) and are tested by planning again with
   the cause changed; one that does not move the plan is listed as refuted, not as a cause.
2. Effects come from the sandbox: each part of the plan is taken out in turn, on the same futures.
3. The flip point of the price spread is exact for the plan as it stands: cost is linear in prices.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agents.interventions import SHOWN_SHARE, Claim, Problem, Replan, claims
from graph.assets import AirUnit, HeatPump
from graph.evaluation import ShadowResult
from graph.kpis import KPI_UNITS
from graph.plan import Plan
from graph.proposal import Because, Causal, Counterfactuals, Effect
from graph.site import Site
from graph.snapshot import Snapshot
from sandbox.futures import Futures, sample_futures
from sandbox.outcomes import kpis_of
from sandbox.scenario import roll_out_plans
from sandbox.twin import Twin

Traces = Mapping[str, NDArray[np.float64]]

# Interventions are planned again one by one; three keep a decision inside its time.
MAX_CLAIMS = 3
WARMER_K = 5.0
FLIP_STEP = 0.02  # the flip point is checked this far to both sides
EFFECT_FUTURES = 32  # enough for an interval of a mean; the proposal's own KPIs use all futures

ASSUMPTIONS = (
    "the twin's structure holds: what it leaves out is listed under fidelity_gaps",
    "future forecast errors resemble the hindcast errors in the snapshot",
    "the tariff in the snapshot holds over the horizon",
)


@dataclass(frozen=True)
class Trials:
    """The plan, doing nothing, and the plan without each asset's part, on the same futures."""

    futures: Futures
    whole: Traces
    idle: Traces
    without: dict[str, Traces]
    idle_warmer: Traces


def play(twin: Twin, snapshot: Snapshot, plan: Plan, seed: int) -> Trials:
    """Play them all side by side in the twin."""
    futures = sample_futures(twin, snapshot, EFFECT_FUTURES, seed)
    assets = sorted({p.split(".", 1)[0] for p in plan.setpoints})
    plans = [plan, None, *(without(plan, asset) for asset in assets)]
    whole, idle, *parts = roll_out_plans(twin, snapshot, futures, plans)
    outdoor = twin.layout.outdoor_signal
    moved = {outdoor: futures.w[outdoor] + WARMER_K} if outdoor else {}
    mild = replace(futures, w=futures.w | moved)
    (warmer,) = roll_out_plans(twin, snapshot, mild, [None])
    return Trials(futures, whole, idle, dict(zip(assets, parts, strict=True)), warmer)


def explain(problem: Problem, plan: Plan, trials: Trials, replan: Replan) -> Causal:
    """The because-chain of `plan`, each claim tried by intervening on its cause."""
    site, snapshot, _ = problem
    because, refuted = check_claims(problem, plan, replan)
    effects = part_effects(site, snapshot, trials)
    because += weather_links(site, snapshot, trials)
    because += [link for e in effects if (link := part_link(site, e)) is not None]
    return Causal(
        because=tuple(because),
        effects=tuple(effects),
        assumptions=ASSUMPTIONS,
        refutations=tuple(refuted),
    )


def weather_links(site: Site, snapshot: Snapshot, trials: Trials) -> list[Because]:
    """How much of the machines' energy the weather asks for: the same futures, but warmer."""
    hours = snapshot.step_s / 3600.0
    links = []
    for name, label, signals, outdoor in _weather_driven(site):
        before, after = (
            sum(float(t[s].sum(axis=1).mean() * hours) for s in signals)
            for t in (trials.idle, trials.idle_warmer)
        )
        if abs(before - after) < SHOWN_SHARE * before or before < 1.0:
            continue
        mean = float(snapshot.expected(outdoor).mean())
        links.append(
            Because(
                cause="outdoor temperature", effect=f"energy of {name}",
                text=f"It is {mean:.1f} °C outside on average, so the rooms need "
                f"{before:.0f} kWh of {label}; {WARMER_K:.0f} K warmer it "
                f"would be {after:.0f} kWh",
                size=before - after, unit="kWh", source="intervention", checked=True,
                signals=(outdoor, *signals),
            )
        )  # fmt: skip
    return links


def _weather_driven(site: Site) -> list[tuple[str, str, tuple[str, ...], str]]:
    """Name, what to call it, power signals and outdoor temperature: heat pumps one by one, air
    units together."""
    found: list[tuple[str, str, tuple[str, ...], str]] = [
        (m.id, f"the {m.label or m.id}", (f"{m.id}.power_kw",), f"{m.source}.temp_degc")
        for m in site.assets
        if isinstance(m, HeatPump)
    ]
    units = [u for u in site.assets if isinstance(u, AirUnit)]
    if units:
        powers = tuple(f"{u.id}.power_kw" for u in units)
        found.append(("air units", "the air units", powers, f"{units[0].source}.temp_degc"))
    return found


def part_link(site: Site, effect: Effect) -> Because | None:
    """A part of the plan that provably saves or costs money, as a link of the chain.

    It is an intervention by itself: the part was taken out, and the cost moved by this much.
    """
    low, high = effect.interval
    if effect.effect != "settled_cost" or low <= 0.0 <= high:
        return None
    word = "saves" if effect.size < 0 else "costs"
    asset = next(a for a in site.assets if a.id == effect.cause.removeprefix("commanding "))
    return Because(
        cause=effect.cause,
        effect="settled cost",
        text=f"Commanding the {asset.label or asset.id} {word} {abs(effect.size):.2f} "
        f"{effect.unit} on average ({abs(high):.2f} to {abs(low):.2f}) "
        "against leaving it to the local law",
        size=effect.size,
        unit=effect.unit,
        source="intervention",
        checked=True,
        signals=tuple(s.id for s in site.signals if s.asset == asset.id),
    )


def check_claims(problem: Problem, plan: Plan, replan: Replan) -> tuple[list[Because], list[str]]:
    """Try the claims; return the links that held and sentences about those that did not."""
    held: list[Because] = []
    refuted: list[str] = []
    tried: dict[str, Plan] = {}
    for claim in claims(problem, plan)[:MAX_CLAIMS]:
        # Claims with one cause share the intervention, and so the solve.
        if claim.cause not in tried:
            tried[claim.cause] = replan(claim.intervene(problem), plan)
        other = tried[claim.cause]
        if not other.status.usable:
            refuted.append(f"{claim.text}: I don't know; planning without it ended {other.status}")
            continue
        link = _judge(claim, plan, other)
        if link is None:
            refuted.append(
                f"{claim.text}: planning without {claim.cause}, starts kept, gave the same"
            )
        else:
            held.append(link)
    return held, refuted


def _judge(claim: Claim, plan: Plan, other: Plan) -> Because | None:
    before, after = claim.measure(plan), claim.measure(other)
    if before - after < SHOWN_SHARE * abs(before):
        return None
    told = claim.told.format(before=before, after=after, difference=before - after, unit=claim.unit)
    return Because(
        cause=claim.cause,
        effect=claim.effect,
        text=f"{claim.text}; {told}",
        size=round(before - after, 6),
        unit=claim.unit,
        source="intervention",
        checked=True,
        signals=claim.signals,
    )


def part_effects(site: Site, snapshot: Snapshot, trials: Trials) -> list[Effect]:
    """What cost and comfort become when an asset's part is taken out of the plan."""
    whole = kpis_of(site, snapshot, trials.futures, trials.whole)
    effects = []
    for asset, traces in trials.without.items():
        part = kpis_of(site, snapshot, trials.futures, traces)
        effects += [
            _effect(site, f"commanding {asset}", kpi, whole[kpi] - part[kpi])
            for kpi in ("settled_cost", "comfort")
        ]
    return effects


def without(plan: Plan, asset: str) -> Plan:
    """The plan with `asset` left to its local law."""
    rest = {p: v for p, v in plan.setpoints.items() if p.split(".", 1)[0] != asset}
    return plan.model_copy(update={"setpoints": rest, "source": f"{plan.source}/without-{asset}"})


def _effect(site: Site, cause: str, kpi: str, delta: NDArray[np.float64]) -> Effect:
    """Mean and its 95 % interval (normal: means of 32 futures)."""
    mean, half = float(delta.mean()), 1.96 * float(delta.std(ddof=1)) / np.sqrt(len(delta))
    unit = KPI_UNITS[kpi].replace("money", site.currency)
    return Effect(
        cause=cause, effect=kpi, size=mean, interval=(mean - half, mean + half), unit=unit
    )


def counterfactuals(
    site: Site, snapshot: Snapshot, trials: Trials, shadow: ShadowResult
) -> Counterfactuals:
    """Inaction, runner-up and the changes that would turn the decision."""
    by_source = {o.source: o.kpis for o in shadow.outcomes}
    return Counterfactuals(
        inaction=by_source["baseline"],
        runner_up=by_source.get(shadow.runner_up or ""),
        flip=tuple(flips(site, snapshot, trials)),
    )


def flips(site: Site, snapshot: Snapshot, trials: Trials) -> list[str]:
    """Sentences: how far the price spread would have to shrink until doing nothing is as good.

    With import prices mean + s (price - mean), the gain over doing nothing is affine in s, so two
    evaluations give the root; the root is checked by evaluating on both sides of it.
    """

    def gain(share: float) -> float:
        scaled = scale_spread(snapshot, share)
        pair = (trials.idle, trials.whole)
        costs = [kpis_of(site, scaled, trials.futures, t)["settled_cost"] for t in pair]
        return float((costs[0] - costs[1]).mean())

    now, flat = gain(1.0), gain(0.0)
    if now <= 0:
        return ["at today's prices doing nothing is expected to be no dearer"]
    if flat >= 0:
        return [
            f"no price spread is too small: with flat prices it still saves {flat:.2f} "
            f"{site.currency} on average"
        ]
    root = flat / (flat - now)
    if not gain(root - FLIP_STEP) < 0 < gain(root + FLIP_STEP):
        return ["I don't know which price spread would turn the decision"]
    return [
        f"if the price spread were below {root:.0%} of today's, doing nothing would be as good "
        f"(today the plan saves {now:.2f} {site.currency} on average)"
    ]


def scale_spread(snapshot: Snapshot, share: float) -> Snapshot:
    """Import prices moved towards their mean: 1 leaves them, 0 makes them flat."""
    prices = np.array(snapshot.prices.import_price)
    moved = prices.mean() + share * (prices - prices.mean())
    series = snapshot.prices.model_copy(update={"import_price": tuple(moved.tolist())})
    return snapshot.model_copy(update={"prices": series})
