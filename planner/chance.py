"""How far inside its bounds a plan must stay to keep them with the stated chance.

The sandbox's own futures say so: forecasts that err as they erred, states as sure as the estimate,
parameters as sure as the fit, the twin's own errors (`sandbox.futures`). A plan is played in them
and its margins follow from what they make of it, by signal, side and step:

1. d(f, t): how far future f ends on the bad side of the expected future at step t.
2. e(t): what the wished chance of all futures stays below at t. It grows with the lead, and is
   small where local control corrects.
3. e(t) is scaled by one factor until that chance of the futures stays below it at *every* step up
   to `reach`: a band is broken by its worst step, not by each for itself. The order statistic is
   that of split conformal prediction, ceil((n + 1) chance), so that n futures promise it for the
   next one (V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World, 2005).
4. Beyond `reach` its widest value holds: by then the plan is made anew from what was measured.

Sure of everything, it asks for no margin; less sure, for a wider one. What the plan's own
simplifications leave (it predicts other temperatures than the twin in the expected future) is added
where there is a margin at all; without one it is what the least margins are for.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from graph.errors import InputError
from graph.intent import Band, Intent
from graph.plan import Plan
from graph.snapshot import Snapshot
from planner.margins import MarginProfile, Margins
from sandbox.futures import expected_future, sample_futures
from sandbox.scenario import roll_out_plans
from sandbox.twin import Twin

Array = NDArray[np.float64]
DEFAULT_CHANCE = 0.95  # of a bound that nobody gave one: what soft wishes are compiled with
HARD_CHANCE = 0.99  # of a hard one: what two hundred futures can tell from certainty
DECIMALS = 4
SURE = 1e-6  # K, %, kW: futures that differ by less are one
LEAST_SHARE = 0.05  # of the widest step: one that hardly moves must not set the common factor


def chance_margins(
    twin: Twin, snapshot: Snapshot, intent: Intent, plan: Plan, least: Margins, *,
    futures: int, seed: int, reach_steps: int,
) -> Margins:  # fmt: skip
    """`least`, and profiles by signal for every chance that the intent states.

    Args:
        plan: a usable plan of this snapshot, without or with smaller margins.
        futures: how many are drawn; a chance c needs at least c / (1 - c) of them.
        seed: of the futures; another than the sandbox judges with.
        reach_steps: until when the plan must keep its bounds.

    Raises:
        InputError: no step to reach, or too few futures for a chance.
    """
    if reach_steps < 1:
        raise InputError(f"margins up to step {reach_steps}", "reach at least one step")
    sampled = sample_futures(twin, snapshot, futures, seed)
    (played,) = roll_out_plans(twin, snapshot, sampled, [plan], truth=True)
    expected = roll_out_plans(twin, snapshot, expected_future(twin, snapshot), [plan], truth=True)
    chances = _chances(intent)
    profiles = []
    for signal in plan.predicted:
        if signal not in played:
            continue
        centre = expected[0][signal][0, :reach_steps]
        beyond = played[signal][:, :reach_steps] - centre
        off = np.array(plan.predicted[signal][:reach_steps]) - centre
        chance = chances.get(signal, DEFAULT_CHANCE)
        low, high = (joint_margin(-s * beyond, chance, s * off) for s in (1.0, -1.0))
        profiles.append(MarginProfile(signal=signal, low=_rounded(low), high=_rounded(high)))
    return least.model_copy(update={"profiles": tuple(profiles)})


def joint_margin(beyond: Array, chance: float, off: Array | float = 0.0) -> Array:
    """The profile that `chance` of the futures stays below at every step at once.

    Args:
        beyond: (n, T) towards the bad side; off: (T,) what is added where it is positive.

    Raises:
        InputError: too few futures to tell.
    """
    count = len(beyond)
    place = math.ceil((count + 1) * chance)
    if place > count:
        need = math.ceil(chance / (1.0 - chance))
        raise InputError(f"{count} futures cannot show a chance of {chance:g}", f"draw {need}")
    each = np.maximum(np.sort(beyond, axis=0)[place - 1], 0.0)
    widest = float(each.max(initial=0.0))
    if widest <= SURE:
        return np.zeros_like(each)
    scale = np.maximum(each, LEAST_SHARE * widest)
    worst = np.sort((beyond / scale).max(axis=1))
    return np.asarray(scale * max(float(worst[place - 1]), 0.0) + np.maximum(off, 0.0))


def _chances(intent: Intent) -> Mapping[str, float]:
    """By signal, the greatest chance that any band of the intent states."""
    found: dict[str, float] = {}
    for item in intent.constraints:
        if isinstance(item, Band):
            stated = HARD_CHANCE if item.hard or item.chance is None else item.chance
            for signal in item.signals:
                found[signal] = max(found.get(signal, 0.0), stated)
    return found


def _rounded(values: Array) -> tuple[float, ...]:
    return tuple(round(float(v), DECIMALS) for v in values)
