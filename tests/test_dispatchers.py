"""One contract for every dispatcher: equal replies to the last byte, errors by name, no ghosts."""

import os
import signal
import threading
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.compliance import check_policies
from agents.inprocess_dispatch import InProcessDispatcher
from agents.market import do_nothing_bill
from agents.messages import RunRecord
from agents.optimisation import hold_last
from agents.ports import AgentContext, AgentReply, AgentRequest, Dispatcher
from agents.ray_dispatch import AgentActor, RayDispatcher
from agents.registry import run_agent
from agents.router import last_word, run_router
from graph.canonical import canonical_bytes
from graph.errors import InputError, UnavailableError
from graph.evaluation import Finding
from graph.intent import Intent, Objective
from graph.plan import Plan, SolveStatus
from graph.record import grid
from graph.signals import Owner, PointState, Reading
from graph.sitepack import load_site
from graph.snapshot import Forecast, History, PriceSeries, Snapshot
from graph.tariff import prices
from safety.policy import with_core
from sandbox.energy_hub import HubTwin
from sandbox.estimation import estimate
from sandbox.parameters import load_parameters
from tests.test_policy import NOW, parts

FOLDER = Path(__file__).resolve().parent.parent / "scenarios" / "microgrid"
PACK = load_site(FOLDER)
SITE = PACK.site
PARAMETERS = load_parameters(FOLDER / "twin.json")
TWIN = HubTwin(SITE, PARAMETERS)
STEPS = 96
INCUMBENT = {"battery.power_set_kw": (5.0,) * 8}


@cache
def snapshot() -> Snapshot:
    """The end of the recorded telemetry, with yesterday as the forecast of today."""
    tail = PACK.telemetry().tail(STEPS)
    signals = {
        n: tuple(None if np.isnan(v) else float(v) for v in tail.column(n)) for n in tail.names
    }
    history = History(start=tail.start, step_s=tail.step_s, signals=signals)
    as_of = tail.end
    times = grid(as_of, SITE.step_s, STEPS)
    tariff, zone = SITE.tariff, SITE.zone_info
    names = ("outdoor.temp_degc", "outdoor.ghi_w_m2", "pv.power_kw", "building.power_kw")
    return Snapshot(
        site_id=SITE.id, site_digest=PACK.digest, twin_digest=TWIN.digest, as_of=as_of,
        step_s=SITE.step_s, horizon_steps=STEPS,
        readings={n: Reading(value=v[-1], time=as_of) for n, v in signals.items()},
        points={
            s.id: PointState(applied=signals[s.id][-1] or 0.0, owner=Owner.LOCAL)
            for s in SITE.setpoints
        },
        prices=PriceSeries(
            import_price=tuple(prices(tariff.import_periods, times, zone).tolist()),
            export_price=tuple(prices(tariff.export_periods, times, zone).tolist()),
            carbon_g_per_kwh=(200.0,) * STEPS,
        ),
        forecasts=tuple(
            Forecast(
                signal=n, unit="1", method="yesterday", error_paths=((0.0,) * 25,),
                values=tuple(float(v or 0.0) for v in signals[n]),
            )
            for n in names
        ),
        estimate=estimate(TWIN, history), history=history, incumbent=INCUMBENT,
    )  # fmt: skip


@cache
def intent() -> Intent:
    end = grid(snapshot().as_of, SITE.step_s, STEPS + 1)[-1]
    return Intent(
        text="minimise cost", objectives=(Objective(quantity="cost"),),
        start=snapshot().as_of, end=end,
    )  # fmt: skip


def request(**args: Any) -> AgentRequest:
    context = AgentContext(site=SITE, twin=PARAMETERS, snapshot=snapshot())
    return AgentRequest(context=context, args=args)


@pytest.fixture(scope="module")
def ray_dispatcher():
    dispatcher = RayDispatcher()
    yield dispatcher
    dispatcher.close()


@pytest.fixture(params=["inprocess", "ray"])
def dispatcher(request, ray_dispatcher) -> Dispatcher:
    return ray_dispatcher if request.param == "ray" else InProcessDispatcher()


@cache
def expected(agent: str) -> bytes:
    args = {"intent": intent().model_dump(mode="json")} if agent == "optimisation" else {}
    return canonical_bytes(run_agent(agent, request(**args)))


# --- the contract, on each adapter -------------------------------------------------------------


@pytest.mark.parametrize("agent", ["diagnostics", "market", "optimisation"])
def test_a_reply_is_the_same_to_the_last_byte_wherever_and_however_often(dispatcher, agent):
    args = {"intent": intent().model_dump(mode="json")} if agent == "optimisation" else {}
    reply = dispatcher.call(agent, request(**args))
    assert canonical_bytes(reply) == expected(agent)
    assert reply.digest == dispatcher.call(agent, request(**args)).digest


def test_replies_of_several_calls_come_in_the_order_of_the_calls(dispatcher):
    names = ["market", "diagnostics", "market"]
    replies = dispatcher.call_many([(name, request()) for name in names])
    assert [r.agent for r in replies] == names
    assert replies[0] == replies[2]


def test_errors_keep_their_class_and_words(dispatcher):
    with pytest.raises(InputError, match="no agent 'nobody'"):
        dispatcher.call("nobody", request())
    with pytest.raises(InputError, match="needs a snapshot"):
        dispatcher.call("market", AgentRequest())
    with pytest.raises(InputError, match="snapshot and an intent"):
        dispatcher.call("optimisation", request())


def test_compliance_answers_through_the_port(dispatcher):
    policies = with_core(PACK.policies)
    result = check_policies(dispatcher, SITE, policies, parts(), NOW)
    assert result.allowed
    refused = check_policies(dispatcher, SITE, policies, parts(mode="off"), NOW)
    assert [v.rule for v in refused.verdicts if v.verdict == "fail"] == ["core.autonomy_mode"]


def test_a_whole_run_leaves_the_same_record_wherever_it_runs(dispatcher):
    record = run_router(dispatcher, SITE, TWIN, snapshot(), intent())
    assert isinstance(record, RunRecord)
    assert record.verdict == "proceed"
    assert [(s.order, s.agent, s.outcome) for s in record.steps] == [
        (0, "diagnostics", "answered"), (0, "market", "answered"), (1, "optimisation", "answered"),
    ]  # fmt: skip
    assert record.market is not None
    assert record.plans[0].status.usable
    again = run_router(InProcessDispatcher(), SITE, TWIN, snapshot(), intent())
    assert canonical_bytes(record) == canonical_bytes(again)


# --- the actors --------------------------------------------------------------------------------


def test_an_actor_killed_in_mid_call_is_called_once_more_and_the_call_completes(ray_dispatcher):
    pid = ray_dispatcher.pids()["optimisation"]
    args = {"intent": intent().model_dump(mode="json")}
    replies: list[AgentReply] = []
    call = threading.Thread(
        target=lambda: replies.append(ray_dispatcher.call("optimisation", request(**args)))
    )
    os.kill(pid, signal.SIGSTOP)  # the call is certainly in the actor's hands when it dies
    call.start()
    time.sleep(0.5)
    os.kill(pid, signal.SIGKILL)
    call.join(60)
    assert len(replies) == 1
    assert canonical_bytes(replies[0]) == expected("optimisation")
    assert ray_dispatcher.pids()["optimisation"] != pid


def busy_actors() -> list[int]:
    """Our own actors that are in a call: grandchildren of this process by way of its raylet."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            title = (entry / "cmdline").read_bytes()
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            grandparent = int(Path(f"/proc/{parent}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
        if grandparent == os.getpid() and title.startswith(b"ray::AgentActor.run"):
            found.append(int(entry.name))
    return found


def test_an_actor_that_dies_in_both_calls_fails_once_and_by_name(ray_dispatcher):
    over = threading.Event()
    killed = set()

    def murder() -> None:
        while not over.is_set() and len(killed) < 2:
            for pid in busy_actors():
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            time.sleep(0.02)

    killer = threading.Thread(target=murder)
    killer.start()
    args = {"intent": intent().model_dump(mode="json")}
    try:
        with pytest.raises(UnavailableError, match="optimisation died twice"):
            ray_dispatcher.call("optimisation", request(**args))
    finally:
        over.set()
        killer.join()
    assert len(killed) == 2
    reply = ray_dispatcher.call("optimisation", request(**args))
    assert canonical_bytes(reply) == expected("optimisation")


def test_an_actor_drops_what_looks_like_a_secret(monkeypatch):
    monkeypatch.setenv("PILOTHOUSE_SIGNING_PASSPHRASE", "x")
    monkeypatch.setenv("SOME_API_KEY", "x")
    monkeypatch.setenv("HARMLESS", "x")
    AgentActor("market")
    assert "PILOTHOUSE_SIGNING_PASSPHRASE" not in os.environ
    assert "SOME_API_KEY" not in os.environ
    assert "HARMLESS" in os.environ


# --- who has the last word ---------------------------------------------------------------------


def finding(action: str) -> Finding:
    return Finding(
        kind="data_quality", subject="zone_north.temp_degc", cause="it is stale", probability=1.0,
        evidence=(), action=action,
    )  # fmt: skip


def plan(status: SolveStatus) -> Plan:
    return Plan(source="milp-dispatch", status=status, start=datetime(2026, 1, 20, tzinfo=UTC),
                step_s=900)  # fmt: skip


def test_a_shed_by_diagnostics_beats_any_plan_and_a_failed_solve_is_none():
    good, bad = plan(SolveStatus.OPTIMAL), plan(SolveStatus.TIME_LIMIT)
    assert last_word([finding("watch"), finding("shed")], [good])[:2] == ("shed", "diagnostics")
    assert last_word([finding("watch")], [good])[:2] == ("proceed", "optimisation")
    assert last_word([], [bad])[0] == "no_plan"
    assert last_word([], [], planned=False)[0] == "report"


def test_a_shed_run_does_not_plan_and_says_so():
    lost = snapshot().readings["battery.soc_pct"].model_copy(update={"value": None})
    shed = snapshot().model_copy(
        update={"readings": {**snapshot().readings, "battery.soc_pct": lost}}
    )
    record = run_router(InProcessDispatcher(), SITE, TWIN, shed, intent())
    assert (record.verdict, record.decided_by) == ("shed", "diagnostics")
    assert record.plans == ()
    assert record.steps[-1].outcome == "skipped"
    assert "no value" in record.steps[-1].detail


def test_an_alarm_asks_what_is_wrong_and_plans_nothing():
    record = run_router(InProcessDispatcher(), SITE, TWIN, snapshot(), None, trigger="alarm")
    assert record.agents == ("diagnostics",)
    assert record.verdict == "report"


# --- the agents' own arithmetic ----------------------------------------------------------------


def test_the_do_nothing_bill_adds_up():
    bill = do_nothing_bill(SITE, TWIN, snapshot())
    whole = bill["import"] + bill["export"] + bill["demand_charge"] + bill["carbon"]
    assert bill["total"] == pytest.approx(whole)
    assert bill["settled"] == pytest.approx(bill["total"] - bill["stored"])
    assert bill["import"] > 0
    assert bill["demand_charge"] == pytest.approx(0.0, abs=1e-9)  # this tariff has none
    priced = SITE.model_copy(
        update={"tariff": SITE.tariff.model_copy(
            update={"carbon_price_per_t": 100.0, "demand_charge_per_kw": 2.0})}
    )  # fmt: skip
    dear = do_nothing_bill(priced, HubTwin(priced, PARAMETERS), snapshot())
    assert dear["import"] == pytest.approx(bill["import"])
    assert dear["carbon"] > 0
    assert dear["demand_charge"] > 0


def test_the_last_good_plan_is_held_for_the_site_s_few_steps_only():
    held = hold_last(SITE, snapshot())
    assert held is not None
    assert held.steps == SITE.autonomy.hold_last_plan_steps < len(INCUMBENT["battery.power_set_kw"])
    assert hold_last(SITE, snapshot().model_copy(update={"incumbent": {}})) is None
