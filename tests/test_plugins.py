"""Plugins: a stranger's component advises, and whatever it does stays in its own process."""

import os
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from graph.plan import Plan
from graph.signals import Reading
from graph.site import Site
from graph.snapshot import HoldConstraint, Snapshot
from plugins.answers import read_plans
from plugins.host import PluginHost
from plugins.inputs import point_rules, run_inputs
from plugins.limits import HostLimits
from plugins.manifest import Grant, grant_all
from plugins.outcome import Outcome, PluginRun
from plugins.package import read_package
from plugins.signatures import sign_manifest
from tests.plugin_guests import (
    ANNA,
    ASKS,
    BORIS,
    EXAMPLE,
    FOREVER,
    HP,
    QUICK,
    ROOT,
    SHORT,
    START,
    STEP_S,
    STEPS,
    SUBMIT,
    TRUST,
    advise,
    install,
    make_site,
    make_snapshot,
    manifest_of,
    once,
    setpoints,
)


@pytest.fixture(scope="module")
def site() -> Site:
    return make_site()


@pytest.fixture(scope="module")
def snapshot(site: Site) -> Snapshot:
    return make_snapshot(site)


# --- what it is for ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demand_response(site: Site, snapshot: Snapshot) -> tuple[PluginRun, list[Plan]]:
    package = read_package(EXAMPLE)
    manifest = package.manifest
    with PluginHost(TRUST, HostLimits()) as host:
        host.install(sign_manifest(manifest, ANNA, BORIS), package.component, grant_all(manifest))
        return host.run(manifest.name, snapshot, site), host.propose(manifest.name, snapshot, site)


def test_the_sample_discharges_and_stands_still_while_power_is_dear(
    demand_response: tuple[PluginRun, list[Plan]], snapshot: Snapshot
) -> None:
    run, (plan,) = demand_response
    assert run.outcome is Outcome.OK, run.detail
    price = np.array(snapshot.prices.import_price)
    battery = np.array(plan.setpoints["battery.power_set_kw"])
    heat_pump = np.array(plan.setpoints["hp.power_set_kw"])
    dear, cheap = price == price.max(), price == price.min()
    assert battery[dear].sum() < -20
    assert battery[cheap].sum() > 20
    assert not battery[~dear & ~cheap].any()
    assert not heat_pump[dear].any()
    typical = np.mean([v for v in snapshot.history.signals["hp.power_kw"] if v is not None])
    assert heat_pump.mean() == pytest.approx(typical, abs=0.1)
    soc = 40.0 + np.cumsum(battery) * STEP_S / 3600 / 80 * 100
    assert soc.min() >= 19.9
    assert soc.max() <= 95.1


def test_a_plugins_plan_says_whose_it_is_and_that_nobody_solved_anything(
    demand_response: tuple[PluginRun, list[Plan]],
) -> None:
    run, (plan,) = demand_response
    assert plan.source == "plugin:demand-response@0.1.0"
    assert plan.notes[0].startswith("from a plugin, no solver")
    assert run.component in plan.notes[-1]
    assert (plan.objective, plan.gap, plan.bound) == (None, None, None)


def test_the_same_snapshot_gives_the_same_record_to_the_last_unit_of_fuel(
    demand_response: tuple[PluginRun, list[Plan]], site: Site, snapshot: Snapshot
) -> None:
    package = read_package(EXAMPLE)
    manifest = package.manifest
    with PluginHost(TRUST, HostLimits()) as host:
        host.install(sign_manifest(manifest, BORIS, ANNA), package.component, grant_all(manifest))
        runs = [host.run(manifest.name, snapshot, site) for _ in range(3)]
    assert {run.model_dump_json() for run in runs} == {demand_response[0].model_dump_json()}
    assert runs[0].fuel_used


# --- what it may see and say ------------------------------------------------------------------


def test_only_granted_values_reach_the_plugins_process(site: Site, snapshot: Snapshot) -> None:
    grant = Grant(component="sha256:" + "0" * 64, telemetry=("battery.*",))
    inputs = run_inputs(snapshot, site, grant)
    seen = {name for kind in ("units", "latest", "history", "forecast", "nameplate")
            for name in inputs[kind]}  # fmt: skip
    assert seen
    assert all(name.startswith("battery.") for name in seen)
    assert inputs["nameplate"]["battery.capacity_kwh"] == 80


def test_a_bad_or_stale_reading_is_not_found(site: Site, snapshot: Snapshot) -> None:
    grant = Grant(component="sha256:" + "0" * 64, telemetry=("*.*",))
    assert run_inputs(snapshot, site, grant)["latest"]["battery.soc_pct"] == 40.0
    late = Reading(value=40.0, time=START - timedelta(hours=2))
    old = snapshot.model_copy(update={"readings": {"battery.soc_pct": late}})
    assert "battery.soc_pct" not in run_inputs(old, site, grant)["latest"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (setpoints(point=HP) + SUBMIT, "hp.power_set_kw: outside the grant"),
        (setpoints("(f64.const nan)") + SUBMIT, "nan at step 0 is not a finite number"),
        (setpoints("(f64.const -inf)") + SUBMIT, "-inf at step 0 is not a finite number"),
        (setpoints("(f64.const 31)") + SUBMIT, "31 kW at step 0 is outside [-30, 30]"),
        (setpoints(unit="(i32.const 288) (i32.const 1)") + SUBMIT, "unit 'k', expected 'kW'"),
        (SUBMIT, "proposal without a setpoint"),
        (setpoints() + SUBMIT.replace("0.5", "nan"), "confidence nan is not in [0, 1]"),
        (setpoints(count="(i32.const 9)") + SUBMIT, "9 values, expected 96"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(
    site: Site, snapshot: Snapshot, body: str, named: str
) -> None:
    run = once(site, snapshot, advise(body))
    assert run.outcome is Outcome.REFUSED
    assert run.plans == ()
    assert any(named in refusal for refusal in run.refusals), run.refusals


def test_a_proposal_with_one_refused_point_is_refused_whole(site: Site, snapshot: Snapshot) -> None:
    run = once(site, snapshot, advise(setpoints() + setpoints(point=HP) + SUBMIT))
    assert run.plans == ()
    assert run.outcome is Outcome.REFUSED


def test_a_point_that_a_person_holds_is_not_the_plugins(site: Site, snapshot: Snapshot) -> None:
    hold = HoldConstraint(point="battery.power_set_kw", value=0.0, owner="Chen")
    held = snapshot.model_copy(update={"holds": (hold,)})
    run = once(site, held, advise(setpoints() + SUBMIT))
    assert run.refusals[0] == "battery.power_set_kw: held by Chen"


def test_the_host_does_not_believe_its_own_worker(site: Site, snapshot: Snapshot) -> None:
    manifest = manifest_of(b"x")
    rules = point_rules(snapshot, site, grant_all(manifest))
    good = [1.0] * STEPS

    def answer(points: dict[str, list[float]]) -> PluginRun:
        submission = {"points": points, "rationale": "", "confidence": 1.0}
        said = {"outcome": "ok", "submissions": [submission]}
        return read_plans(manifest, said, snapshot, rules, QUICK)

    assert len(answer({"battery.power_set_kw": good}).plans) == 1
    assert not answer({"battery.power_set_kw": [99.0] * STEPS}).plans
    assert not answer({"hp.power_set_kw": good}).plans
    assert read_plans(manifest, {"outcome": "fine"}, snapshot, rules, QUICK).outcome is (
        Outcome.BAD_OUTPUT
    )


# --- hostile ----------------------------------------------------------------------------------

GROW = FOREVER.format("(drop (call $column (f64.const 1) (i32.const 8192)))")
HOSTILE = {
    "endless loop": (FOREVER.format(""), Outcome.OUT_OF_FUEL, "all fuel consumed"),
    "memory bomb": (GROW, Outcome.MEMORY, "grown to its limit"),
    "trap": ("unreachable", Outcome.TRAP, "unreachable"),
    "out of bounds": ("(drop (i32.load (i32.const -8)))", Outcome.TRAP, "out of bounds"),
    "stack bomb": ("(call $advise (local.get $steps))", Outcome.TRAP, "call stack exhausted"),
    "log flood": (
        FOREVER.format("(call $emit (i32.const 1) (i32.const 256) (i32.const 20))"),
        Outcome.REFUSED,
        "more than 500 host calls",
    ),
    "submission flood": (
        FOREVER.format(setpoints() + SUBMIT),
        Outcome.REFUSED,
        "more than 500 host calls",
    ),
    "wrong enumeration": (
        "(call $emit (i32.const 77) (i32.const 256) (i32.const 20))",
        Outcome.BAD_OUTPUT,
        "discriminant",
    ),
    "not text": (
        '(i32.store8 (i32.const 512) (i32.const 255))'
        "(call $emit (i32.const 1) (i32.const 512) (i32.const 1))",
        Outcome.BAD_OUTPUT,
        "utf-8",
    ),
    "list beyond memory": (
        "(call $setpoints (i32.const 256) (i32.const 20) (i32.const 288) (i32.const 2)"
        "(i32.const 1024) (i32.const 100000000) (i32.const 512))",
        Outcome.BAD_OUTPUT,
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("attack", HOSTILE)
def test_an_attack_is_contained_and_named(site: Site, snapshot: Snapshot, attack: str) -> None:
    body, outcome, named = HOSTILE[attack]
    asks = ASKS.model_copy(update={"fuel": 50_000_000})
    run = once(site, snapshot, advise(body), asks=asks)
    assert (run.outcome, run.plans) == (outcome, ()), run.detail
    assert named in run.detail


def test_a_loop_with_much_fuel_ends_at_the_deadline(site: Site, snapshot: Snapshot) -> None:
    asks = ASKS.model_copy(update={"fuel": 5_000_000_000})
    run = once(site, snapshot, advise(FOREVER.format("")), SHORT, asks)
    assert run.outcome is Outcome.DEADLINE


def test_floods_that_end_by_themselves_are_cut_to_the_quota(site: Site, snapshot: Snapshot) -> None:
    hundred = (
        "(loop $again {} (local.set $i (i32.add (local.get $i) (i32.const 1)))"
        "(br_if $again (i32.lt_u (local.get $i) (i32.const 100))))"
    )
    log = "(call $emit (i32.const 1) (i32.const 256) (i32.const 20))"
    run = once(site, snapshot, advise(hundred.format(setpoints() + SUBMIT + log)))
    assert run.outcome is Outcome.OK
    assert len(run.plans) == QUICK.submissions
    assert "more than 4 proposals in one run" in run.refusals
    assert (len(run.log), run.log_dropped) == (QUICK.log_lines, 100 - QUICK.log_lines)
    assert run.calls["submit.proposal"] == 100


def test_what_neither_fuel_nor_epoch_can_interrupt_is_killed(
    site: Site, snapshot: Snapshot
) -> None:
    """Python converts a list after the guest has left: only the parent's clock ends that."""
    asks = ASKS.model_copy(update={"memory_mib": 64, "fuel": 2_000_000_000})
    body = "(call $setpoints (i32.const 256) (i32.const 20) (i32.const 288) (i32.const 2)"
    body += "(call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.const 20000000))"
    body += "(i32.const 2500000) (i32.const 512))"
    with PluginHost(TRUST, SHORT) as host:
        install(host, advise(body), asks=asks)
        run = host.run("guest", snapshot, site)
        assert run.outcome is Outcome.KILLED
        assert "no answer within 1 s" in run.detail


def test_a_failing_plugin_harms_nobody_and_ends_in_quarantine(
    site: Site, snapshot: Snapshot
) -> None:
    with PluginHost(TRUST, QUICK) as host:
        install(host, advise("unreachable"))
        component = advise(setpoints() + SUBMIT).replace(b"guest", b"other")
        install(host, component, "other")
        for _ in range(QUICK.failures_to_quarantine):
            assert host.run("guest", snapshot, site).outcome is Outcome.TRAP
            assert len(host.propose("other", snapshot, site)) == 1
        run = host.run("guest", snapshot, site)
        assert run.outcome is Outcome.REFUSED
        assert run.detail.startswith("in quarantine after 3 failures, the last: trap")


def test_a_killed_worker_is_started_again(site: Site, snapshot: Snapshot) -> None:
    with PluginHost(TRUST, QUICK) as host:
        install(host, advise(setpoints() + SUBMIT))
        first = host.run("guest", snapshot, site)
        os.kill(host.process_id("guest"), 9)
        assert host.run("guest", snapshot, site).outcome in (Outcome.OK, Outcome.KILLED)
        assert host.run("guest", snapshot, site) == first


def test_the_how_to_does_what_it_says(
    site: Site, snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "how-to" / "write-a-plugin.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"site": site, "snapshot": snapshot}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.S):
        exec(compile(block, "write-a-plugin.md", "exec"), names)
    run = names["run"]
    assert isinstance(run, PluginRun)
    (plan,) = run.plans
    assert plan.setpoints == {"battery.power_set_kw": (0.0,) * STEPS}
