"""A plan from a learned policy: its moves, each certified, played in the expected future.

The policy looks at the plant as the twin predicts it, step after step; the safety filter certifies
every move before the next is asked for. Where the policy may not speak (`PolicyTrouble`) or nothing
is proven, the plan ends there, if that is late enough to be of use; else there is none, and the
reason is its note.
"""

import numpy as np
from numpy.typing import NDArray

from graph.plan import Plan, SolveStatus
from graph.snapshot import Snapshot
from planner.rl.episodes import Moment, expected
from planner.rl.filtered import filter_of, filter_state
from planner.rl.observation import ObservationSpace
from planner.rl.onnx_policy import ControlPolicy, PolicyRefusedError
from planner.rl.world import BatchWorld
from safety.filter.certify import Certified, SafetyFilter, Verdict
from sandbox.filter_model import FilterState
from sandbox.twin import Twin

Array = NDArray[np.float64]
LEAST_H = 2.0  # a plan that ends before is of no use: the next one is made hourly
NOT_CERTIFIED = "policy_not_certified"
DECIMALS = 6


def plan_of_policy(policy: ControlPolicy, twin: Twin, snapshot: Snapshot) -> Plan:
    """The policy's plan; status `bad_input` with the reason where there is none.

    `optimal` stands for usable, as for every plan from elsewhere: no solve stands behind it.
    """
    space = ObservationSpace(twin)
    moment = Moment(space, snapshot)
    world = BatchWorld(space)
    world.reset([expected(moment)])
    guarded: SafetyFilter[FilterState] | None = None
    rows: list[Array] = []
    seen: list[Certified] = []
    ended = ""
    while not world.done:
        try:
            action = policy.act(world.observe())
        except PolicyRefusedError as error:
            ended = str(error)
            break
        guarded = guarded or filter_of(twin, moment)
        state = filter_state(world, 0, world.k)
        wanted = world.actions.setpoints(action, world.state.setpoints)[0]
        certified = guarded.certify(state, wanted)
        if not certified.safe:
            ended = f"{NOT_CERTIFIED}: {certified.constraint}, {certified.reason}"
            break
        # A plan holds numbers only: where the plant's own law takes over, what it would set.
        move = np.where(np.isnan(certified.move), guarded.model.backup_move(state), certified.move)
        seen.append(certified)
        rows.append(move)
        world.apply(move[None])
    if len(rows) * snapshot.step_s < LEAST_H * 3600.0:
        return Plan(source=policy.source, status=SolveStatus.BAD_INPUT, start=snapshot.as_of,
                    step_s=snapshot.step_s, notes=(ended,))  # fmt: skip
    return _plan(policy, snapshot, world, np.array(rows), seen, ended)


def _plan(
    policy: ControlPolicy, snapshot: Snapshot, world: BatchWorld, rows: Array,
    seen: list[Certified], ended: str,
) -> Plan:  # fmt: skip
    changed = [c.correction for c in seen if c.verdict is not Verdict.UNCHANGED]
    notes = [
        f"a learned policy ({policy.manifest.algorithm}), manifest {policy.manifest.digest[:23]}",
        f"the safety filter changed {len(changed)} of {len(seen)} moves"
        + (f", by up to {max(changed):.0%} of a point's range" if changed else ""),
    ]
    if ended:
        notes.append(f"it ends after {len(rows)} steps: {ended}")
    points = world.actions.points
    return Plan(
        source=policy.source, status=SolveStatus.OPTIMAL, start=snapshot.as_of,
        step_s=snapshot.step_s,
        setpoints={p: _floats(rows[:, i]) for i, p in enumerate(points)},
        predicted={s: _floats(v[0]) for s, v in world.traces().items()}, notes=tuple(notes),
    )  # fmt: skip


def _floats(values: Array) -> tuple[float, ...]:
    return tuple(round(float(v), DECIMALS) + 0.0 for v in values)
