"""What a person holds, and what is left when a solve fails."""

from agents.optimisation import HOLD_LAST, candidates, hold_last
from graph.intent import Band
from graph.plan import SolveStatus
from planner.dispatch_options import SolveOptions
from planner.margins import Margins
from tests.laboratory import SENTENCE

HEAT_PUMP = "hp.power_set_kw"


def test_a_point_taken_from_the_copilot_goes_on_with_the_local_law_and_the_rest_is_planned(lab):
    lab.post(f"/v1/loops/{HEAT_PUMP}/override", {})
    _, proposal = lab.propose("minimise cost for the next 24 hours")
    points = {s.point for s in proposal.proposed_policy.schedule}
    assert "battery.power_set_kw" in points
    assert HEAT_PUMP not in points
    # The local law keeps the tank in its band, so the heat pump still runs in the sandbox.
    outcomes = {o.source: o for o in proposal.sandbox_results.shadow.outcomes}
    traces = {t.signal: t for t in outcomes["milp-dispatch"].traces}
    assert max(traces["hp.power_kw"].q95) > 4.0


def test_when_the_solve_fails_the_plan_in_force_is_held_for_k_steps_and_proven_anew(lab):
    copilot = lab.loop.operations.copilot
    image = copilot.observe()
    reading = copilot.compile(SENTENCE, "test", image.time)
    in_force = {"battery.power_set_kw": (5.0,) * 20}
    snapshot = copilot.snapshot(image, reading.intent.end, in_force)
    site, twin = copilot.plant.pack.site, copilot.plant.context.twin
    impossible = Band(
        signals=("zone_north.temp_degc",), minimum=35.0, unit="degC", hard=True, chance=None
    )
    wish = reading.intent.model_copy(update={"constraints": (impossible,)})
    failed, held = candidates(site, twin, snapshot, wish, Margins(), SolveOptions(checks=10))
    assert not failed.status.usable
    assert failed.status is not SolveStatus.OPTIMAL
    assert held.source == HOLD_LAST
    steps = site.autonomy.hold_last_plan_steps
    assert held.setpoints == {"battery.power_set_kw": (5.0,) * steps}
    nothing = snapshot.model_copy(update={"incumbent": {}})
    assert hold_last(site, nothing) is None
