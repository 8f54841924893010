"""Why this plan: a because-chain whose links are checked, effects measured in the twin, and what
would have to change for the decision to change.

1. Claims come from the solve (active bounds, prices, weather) and are tested by planning again with
   the cause changed; one that does not move the plan is listed as refuted, not as a cause.
2. Effects come from the sandbox: each part of the plan is taken out in turn, on the same futures.
3. The flip point of the price spread is exact for the plan as it stands: cost is linear in prices.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.interventions import SHOWN_SHARE, Claim, Problem, Replan, claims
from graph.evaluation import ShadowResult
from graph.kpis import KPI_UNITS
from graph.plan import Plan
from graph.proposal import Because, Causal, Counterfactuals, Effect
from graph.site import Site
from graph.snapshot import Snapshot
from sandbox.energy_hub import HubTwin
from sandbox.futures import sample_futures
from sandbox.scenario import roll_out_plans
from sandbox.shadow import kpis_of

# Interventions are planned again one by one; four keep a decision inside its time.
MAX_CLAIMS = 4
FLIP_STEP = 0.02  # the flip point is checked this far to both sides
EFFECT_FUTURES = 48  # enough for an interval of a mean; the proposal's own KPIs use all futures

ASSUMPTIONS = (
    "the twin's structure holds: what it leaves out is listed under fidelity_gaps",
    "future forecast errors resemble the hindcast errors in the snapshot",
    "the tariff in the snapshot holds over the horizon",
)


def explain(problem: Problem, twin: HubTwin, plan: Plan, replan: Replan, seed: int) -> Causal:
    """The because-chain of `plan`, each claim tried by intervening on its cause."""
    because, refuted = check_claims(problem, plan, replan)
    site, snapshot, _ = problem
    return Causal(
        because=tuple(because),
        effects=tuple(part_effects(site, twin, snapshot, plan, seed)),
        assumptions=ASSUMPTIONS,
        refutations=tuple(refuted),
    )


def check_claims(problem: Problem, plan: Plan, replan: Replan) -> tuple[list[Because], list[str]]:
    """Try the claims; return the links that held and sentences about those that did not."""
    held: list[Because] = []
    refuted: list[str] = []
    tried: dict[str, Plan] = {}
    for claim in choose(claims(problem, plan)):
        # Claims with one cause share the intervention, and so the solve.
        if claim.cause not in tried:
            tried[claim.cause] = replan(claim.intervene(problem), plan)
        other = tried[claim.cause]
        if not other.status.usable:
            refuted.append(f"{claim.text}: I don't know; planning without it ended {other.status}")
            continue
        link = _judge(claim, plan, other)
        if link is None:
            refuted.append(f"{claim.text}: planning without {claim.cause} gave the same")
        else:
            held.append(link)
    return held, refuted


def choose(found: Sequence[Claim]) -> list[Claim]:
    """The first claims, and the last (the weather), so that each kind of cause is tried."""
    if len(found) <= MAX_CLAIMS:
        return list(found)
    return [*found[: MAX_CLAIMS - 1], found[-1]]


def _judge(claim: Claim, plan: Plan, other: Plan) -> Because | None:
    before, after = claim.measure(plan), claim.measure(other)
    if before - after < SHOWN_SHARE * abs(before):
        return None
    return Because(
        cause=claim.cause,
        effect=claim.effect,
        text=f"{claim.text}; without it {after:.1f} instead of {before:.1f} {claim.unit}",
        size=round(before - after, 6),
        unit=claim.unit,
        source="intervention",
        checked=True,
        signals=claim.signals,
    )


def part_effects(
    site: Site, twin: HubTwin, snapshot: Snapshot, plan: Plan, seed: int
) -> list[Effect]:
    """Take each asset's part out of the plan and see what cost and comfort become."""
    futures = sample_futures(twin, snapshot, EFFECT_FUTURES, seed)
    assets = sorted({p.split(".", 1)[0] for p in plan.setpoints})
    plans = [plan, *(without(plan, asset) for asset in assets)]
    traces = roll_out_plans(twin, snapshot, futures, plans)
    whole, *parts = [kpis_of(site, snapshot, futures, t) for t in traces]
    return [
        _effect(site, f"commanding {asset}", kpi, whole[kpi] - part[kpi])
        for asset, part in zip(assets, parts, strict=True)
        for kpi in ("settled_cost", "comfort")
    ]


def without(plan: Plan, asset: str) -> Plan:
    """The plan with `asset` left to its local law."""
    rest = {p: v for p, v in plan.setpoints.items() if p.split(".", 1)[0] != asset}
    return plan.model_copy(update={"setpoints": rest, "source": f"{plan.source}/without-{asset}"})


def _effect(site: Site, cause: str, kpi: str, delta: NDArray[np.float64]) -> Effect:
    """Mean and its 95 % interval (normal: means of 48 futures)."""
    mean, half = float(delta.mean()), 1.96 * float(delta.std(ddof=1)) / np.sqrt(len(delta))
    unit = KPI_UNITS[kpi].replace("money", site.currency)
    return Effect(
        cause=cause, effect=kpi, size=mean, interval=(mean - half, mean + half), unit=unit
    )


def counterfactuals(
    site: Site, twin: HubTwin, snapshot: Snapshot, plan: Plan, shadow: ShadowResult, seed: int
) -> Counterfactuals:
    """Inaction, runner-up and the changes that would turn the decision."""
    by_source = {o.source: o.kpis for o in shadow.outcomes}
    return Counterfactuals(
        inaction=by_source["baseline"],
        runner_up=by_source.get(shadow.runner_up or ""),
        flip=tuple(flips(site, twin, snapshot, plan, seed)),
    )


def flips(site: Site, twin: HubTwin, snapshot: Snapshot, plan: Plan, seed: int) -> list[str]:
    """Sentences: how far the price spread would have to shrink until doing nothing is as good.

    With import prices mean + s (price - mean), the gain over doing nothing is affine in s, so two
    evaluations give the root; the root is checked by evaluating on both sides of it.
    """
    futures = sample_futures(twin, snapshot, EFFECT_FUTURES, seed)
    mine, idle = roll_out_plans(twin, snapshot, futures, [plan, None])

    def gain(share: float) -> float:
        scaled = scale_spread(snapshot, share)
        costs = [kpis_of(site, scaled, futures, t)["settled_cost"] for t in (idle, mine)]
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
