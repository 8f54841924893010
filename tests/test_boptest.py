"""A test case behind REST: what the server means is what arrives, and nothing stays overridden."""

import math
import queue
import socket
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graph.errors import InputError, UnavailableError
from graph.plant import LeasedSetpoint
from graph.signals import Owner
from graph.site import Site
from graph.sitepack import load_site
from safety.gate.opcua_plant import OpcUaLab, OpcUaWriter
from scenarios.boptest.client import BoptestClient
from scenarios.boptest_plant import BoptestStepper
from scenarios.opcua_server import serve
from scenarios.simulated_plant import SimulatedPlant
from tests.boptest_server import TESTCASE, boptest_server
from tests.boptest_site import document, write_pack

START = datetime.fromisoformat("2026-01-15T06:00:00-08:00")
HEATING = "zone_north.heating_setpoint_degc"
DAY_S = 86_400.0


@pytest.fixture(scope="module")
def url():
    with boptest_server() as address:
        yield address


@pytest.fixture
def client(url: str):
    made = BoptestClient(url)
    made.select(TESTCASE)
    yield made
    made.stop()
    made.close()


def site_at(url: str, **simulator: Any) -> Site:
    found = document(url)
    found["plant"]["cycle_s"] = 300
    found["plant"]["simulator"] |= {"warm_up_s": DAY_S, **simulator}
    return Site.model_validate(found)


def stepper_at(url: str, start: datetime = START, **simulator: Any) -> BoptestStepper:
    site = site_at(url, **simulator)
    return BoptestStepper(site, site.plant.simulator, start)


@pytest.fixture
def stepper(url: str):
    made = stepper_at(url)
    yield made
    made.close()


def test_the_server_behaves_as_boptest_does(client: BoptestClient) -> None:
    """The semantics that the adapter relies on, told by the server that the tests run."""
    assert client.testcases() == (TESTCASE,)
    assert client.inputs()["oveTSetHeaNor_u"].maximum == 308.15
    client.set_step(600.0)
    start = client.initialise(14 * DAY_S, DAY_S)
    assert start["time"] == 14 * DAY_S
    assert client.kpis()["ener_tot"] == 0.0  # nothing of the warm-up counts
    taken = {"oveTSetHeaNor_u": 300.15, "oveTSetHeaNor_activate": 1.0}
    assert client.advance(taken).values["oveTSetHeaNor_y"] == 300.15
    kept = client.advance({})  # silence leaves the override on
    assert kept.values["oveTSetHeaNor_y"] == kept.values["oveTSetHeaNor_u"] == 300.15
    freed = client.advance({"oveTSetHeaNor_activate": 0.0})
    assert freed.values["oveTSetHeaNor_y"] == 290.15
    assert freed.values["time"] == 14 * DAY_S + 1800
    clipped = client.advance({"oveTSetHeaNor_u": 400.0, "oveTSetHeaNor_activate": 1.0})
    assert clipped.values["oveTSetHeaNor_y"] == 308.15
    assert "WARNING" in clipped.warnings[0]
    with pytest.raises(UnavailableError, match=r"status 400.*oveNothing_u"):
        client.advance({"oveNothing_u": 1.0})
    ahead = client.forecast(["TDryBul", "LowerSetp[Nor]"], 3600.0, 900.0)
    assert np.allclose(np.diff(ahead["time"]), 900.0)
    assert len(ahead["TDryBul"]) == 5
    assert ahead["time"][0] == clipped.values["time"]
    record = client.results(["reaTZonNor_y"], 14 * DAY_S, 14 * DAY_S + 600)
    assert np.allclose(np.diff(record["time"]), 30.0)
    assert len(record["time"]) == 21


def test_units_change_at_the_edge_and_powers_are_means(stepper: BoptestStepper) -> None:
    for _ in range(25):
        row = stepper.step({})
    assert -10 < row["outdoor.temp_degc"] < 25
    assert 15 < row["zone_north.temp_degc"] < 23
    assert row["grid.power_kw"] == pytest.approx(row["plugs.power_kw"] + row["unit.power_kw"])
    begun = (stepper.time - datetime.fromisoformat("2026-01-01T00:00:00-08:00")).total_seconds()
    record = stepper.client.results(["reaPUni_y"], begun - 300, begun)["reaPUni_y"]
    mean_kw = np.trapezoid(record) / (len(record) - 1) / 1000.0
    assert row["unit.power_kw"] == pytest.approx(mean_kw)
    end_kw = record[-1] / 1000.0
    assert abs(mean_kw - end_kw) > 1e-3  # at the thermostat's morning call it is not the mean


def test_what_is_not_commanded_is_switched_off_in_every_step(stepper: BoptestStepper) -> None:
    """1. Each call carries every pair. 2. A foreign override ends with the next step."""
    sent = stepper.inputs({HEATING: 22.0})
    assert sent.pop("oveTSetHeaNor_u") == pytest.approx(295.15)
    switches = {f"oveTSet{s}{z}_activate" for s in ("Hea", "Coo") for z in ("Nor", "Sou")}
    assert sent == {s: float(s == "oveTSetHeaNor_activate") for s in switches} | {
        "oveHeaPumY_activate": 0.0
    }
    stepper.client.advance({"oveHeaPumY_u": 1.0, "oveHeaPumY_activate": 1.0,
                            "oveTSetHeaSou_u": 305.0, "oveTSetHeaSou_activate": 1.0})  # fmt: skip
    stepper._now_s += stepper.step_s
    after = stepper.step({})
    assert after["zone_south.heating_setpoint_degc"] == pytest.approx(17.0)
    last = stepper.client.advance({}).values
    assert last["oveHeaPumY_activate"] == last["oveTSetHeaSou_activate"] == 0.0


def test_a_command_holds_for_its_step_and_the_law_returns_after_it(stepper: BoptestStepper) -> None:
    assert stepper.step({HEATING: 23.0})[HEATING] == pytest.approx(23.0)
    # 06:05 to 06:10: the night's setpoint again.
    assert stepper.step({})[HEATING] == pytest.approx(17.0)
    assert stepper.local_values[HEATING] == pytest.approx(17.0)


def test_a_clip_is_an_event_and_the_read_back_tells_the_truth(url: str) -> None:
    site = site_at(url)
    stepper = BoptestStepper(site, site.plant.simulator, START)
    row = stepper.step({HEATING: 60.0})
    assert row[HEATING] == pytest.approx(35.0)
    assert [e.time for e in stepper.events] == [stepper.time]
    assert "oveTSetHeaNor_u" in stepper.events[0].text
    stepper.close()


def test_the_same_commands_give_the_same_numbers(url: str) -> None:
    runs = []
    for _ in range(2):
        stepper = stepper_at(url)
        runs.append([stepper.step({HEATING: 21.5} if k % 3 else {}) for k in range(24)])
        stepper.close()
    assert runs[0] == runs[1]


def test_a_standard_scenario_warms_up_a_week_and_says_when_it_is_over(url: str) -> None:
    found = document(url)
    found["plant"]["simulator"] |= {
        "time_period": "peak_heat_day", "electricity_price": "dynamic"
    }  # fmt: skip
    found["plant"]["cycle_s"] = 7 * DAY_S
    site = Site.model_validate(found)
    start = datetime.fromisoformat("2026-01-14T00:00:00-08:00")  # seven days before the day
    stepper = BoptestStepper(site, site.plant.simulator, start)
    assert stepper.time == start
    stepper.step({})
    stepper.step({})
    paid = stepper.kpis()
    assert paid["pgas_tot"] is None
    # Dynamic prices lie between 0.21 and 0.50 a kWh.
    assert 0.21 < paid["cost_tot"] / paid["ener_tot"] < 0.50
    with pytest.raises(UnavailableError, match="is over at 2026-01-28"):
        stepper.step({})
    stepper.close()


def test_leases_and_rollback_reach_the_server(url: str) -> None:
    """A lease that ends, or a release, hands the point back at the test case itself."""
    site = site_at(url)
    plant = SimulatedPlant(
        site, BoptestStepper(site, site.plant.simulator, START), watchdog_s=math.inf, start=START
    )
    epoch = plant.claim("test")
    plant.write(epoch, 1, [LeasedSetpoint(point=HEATING, value=22.0, ttl_s=900.0)])
    plant.advance(600)
    assert plant.image().values[HEATING].value == pytest.approx(22.0)
    plant.advance(900)
    state = plant.image().points[HEATING]
    assert (state.owner, state.applied) == (Owner.LOCAL, pytest.approx(17.0))
    simulator = plant.simulator
    assert isinstance(simulator, BoptestStepper)
    assert simulator.client.advance({}).values["oveTSetHeaNor_activate"] == 0.0
    plant.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grid.power_kw": None}, "grid.power_kw has no point"),
        ({"plugs.power_kw": {"name": "reaPlugs_y"}}, "plugs.power_kw.*no reaPlugs_y.*reaPPlu_y"),
        ({HEATING: {"name": "oveTSetHeaNor_y"}}, "no oveTSetHeaNor_y"),
        ({"plugs.power_kw": {"name": "reaPPlu_y", "scale": 0}}, "scale 0"),
    ],
)
def test_a_wrong_map_is_named_before_anything_runs(url: str, change: Any, words: str) -> None:
    found = document(url)
    points = found["plant"]["simulator"]["points"] | change
    found["plant"]["simulator"]["points"] = {k: v for k, v in points.items() if v is not None}
    site = Site.model_validate(found)
    with pytest.raises(InputError, match=words):
        BoptestStepper(site, site.plant.simulator, START)


def test_a_live_check_compares_units_and_ranges_and_runs_nothing(url: str) -> None:
    from api.live_check import check_live

    site = site_at(url)
    lines = {line["check"]: line for line in check_live(site)}
    assert set(lines) == {"plant", *(s.id for s in site.signals)}
    assert all(line["ok"] for line in lines.values()), lines
    found = document(url)
    points = found["plant"]["simulator"]["points"]
    points["outdoor.temp_degc"]["offset"] = -273.0
    points["unit.power_kw"] = {"name": "reaPUni_y"}
    for signal in found["signals"]:
        if signal["id"] == HEATING:
            signal["maximum"] = 40
    wrong = {line["check"]: line["detail"] for line in check_live(Site.model_validate(found))
             if not line["ok"]}  # fmt: skip
    assert set(wrong) == {"outdoor.temp_degc", "unit.power_kw", HEATING}
    assert "expected scale 1 and offset -273.15" in wrong["outdoor.temp_degc"]
    assert "expected scale 0.001" in wrong["unit.power_kw"]
    assert "the server clips to 5 to 35 degC" in wrong[HEATING]
    (silent,) = check_live(site_at("http://127.0.0.1:9"))
    assert not silent["ok"]
    assert "running" in silent["detail"]


def test_a_start_before_the_year_and_a_server_that_is_not_there_are_named(url: str) -> None:
    with pytest.raises(InputError, match="2026 begins at 2026-01-01T08:00:00Z"):
        stepper_at(url, START - timedelta(days=30))
    with pytest.raises(UnavailableError, match=r"127.0.0.1:9.*running"):
        stepper_at("http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="status 404"):
        stepper_at(url, testcase="another")


def test_a_missing_value_is_a_bad_reading_and_no_crash(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor without a number at the server stays one without here; the plant goes on."""
    site = site_at(url)
    stepper = BoptestStepper(site, site.plant.simulator, START)
    plant = SimulatedPlant(site, stepper, watchdog_s=math.inf, start=START)
    real = stepper._values

    def blind(state: Any) -> dict[str, float]:
        return real({**state, "reaTZonNor_y": math.nan})

    monkeypatch.setattr(stepper, "_values", blind)
    plant.advance(300)
    assert plant.image().values["zone_north.temp_degc"].value is None
    assert plant.image().values["zone_south.temp_degc"].value is not None
    plant.close()


def test_the_gates_own_writer_reaches_the_test_case_over_opc_ua(url: str, tmp_path: Path) -> None:
    """`pilothouse plant` serves it; the gate's process speaks OPC UA to any plant alike."""
    folder = write_pack(tmp_path / "site", url, warm_up_s=DAY_S)
    site = load_site(folder).site
    ready: queue.Queue[str] = queue.Queue()
    stop = threading.Event()
    log = tmp_path / "plant.csv"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    thread = threading.Thread(target=serve, args=(folder, port, START, 1, log, stop, ready.put))
    thread.start()
    try:
        endpoint = ready.get(timeout=60)
        names = [s.id for s in site.signals]
        points = [s.id for s in site.setpoints]
        writer = OpcUaWriter(endpoint, site.plant.namespace, names, points)
        lab = OpcUaLab(endpoint, site.plant.namespace)
        epoch = writer.claim("gate")
        results = writer.write(epoch, 1, [LeasedSetpoint(point=HEATING, value=22.5, ttl_s=3600.0)])
        assert [r.accepted for r in results] == [True]
        lab.advance(900)
        image = writer.read_back()
        assert image.time == START + timedelta(minutes=15)
        assert image.points[HEATING].owner is Owner.REMOTE
        assert image.values[HEATING].value == pytest.approx(22.5)
        assert writer.release(epoch, 2, [HEATING])[0].accepted
        lab.advance(900)
        assert writer.read_back().values[HEATING].value == pytest.approx(17.0)
        history = writer.history([HEATING], START)[HEATING]
        assert [round(r.value or 0.0, 2) for r in history][-2:] == [22.5, 17.0]
        lab.close()
        writer.close()
    finally:
        stop.set()
        thread.join(timeout=30)
    assert "remote" in log.read_text()
