"""`site validate --live` against a plant that answers: what is wrong is found where it is wrong."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.live_check import check_live
from graph.clock import ManualClock
from graph.signals import Role
from graph.site import Site
from graph.sitepack import load_site
from safety.gate.opcua_plant import OpcUaLab
from scenarios.opcua_server import serve

PACK = Path(__file__).parents[1] / "scenarios" / "microgrid"
START = datetime(2026, 1, 20, 8, tzinfo=UTC)
GUARDS = ["plant", "clock", "local/remote", "watchdog", "writes"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    stop, ready, found = threading.Event(), threading.Event(), []

    def announce(endpoint: str) -> None:
        found.append(endpoint)
        ready.set()

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    thread = threading.Thread(target=serve, args=(PACK, port, START, 7, None, stop, announce))
    thread.start()
    assert ready.wait(120)
    yield found[0]
    stop.set()
    thread.join(30)


@pytest.fixture
def lab(endpoint: str) -> Iterator[OpcUaLab]:
    lab = OpcUaLab(endpoint, load_site(PACK).site.plant.namespace)
    yield lab
    lab.clear_faults()
    lab.set_remote_allowed(True)
    lab.advance(60.0)
    lab.close()


def site_at(endpoint: str, **plant: Any) -> Site:
    site = load_site(PACK).site
    plant = {"endpoint": endpoint, **plant}
    return site.model_copy(update={"plant": site.plant.model_copy(update=plant)})


def signal(site: Site, name: str, **changes: Any) -> Site:
    specs = [s.model_copy(update=changes) if s.id == name else s for s in site.signals]
    return site.model_copy(update={"signals": tuple(specs)})


def failing(site: Site, **more: Any) -> dict[str, str]:
    return {c["check"]: c["detail"] for c in check_live(site, **more) if not c["ok"]}


def test_a_plant_that_fits_its_pack_passes_on_every_point(endpoint: str) -> None:
    site = site_at(endpoint)
    checks = check_live(site)
    assert [c for c in checks if not c["ok"]] == []
    assert {c["check"] for c in checks} == {s.id for s in site.signals} | set(GUARDS)
    assert checks[-1]["detail"].startswith("nothing was written")
    owner = next(c["detail"] for c in checks if c["check"] == "battery.power_set_kw")
    assert owner.endswith("owner local")


def test_a_signal_that_the_plant_has_not_is_named_and_no_other(endpoint: str) -> None:
    site = signal(site_at(endpoint), "pv.power_kw", id="pv.ac_power_kw")
    found = failing(site)
    assert list(found) == ["pv.ac_power_kw"]
    assert "s=pv.ac_power_kw is not there" in found["pv.ac_power_kw"]


def test_a_setpoint_without_an_owner_beside_it_is_named(endpoint: str) -> None:
    """A measurement declared as a setpoint has a value, but the plant says nobody commands it."""
    found = failing(signal(site_at(endpoint), "hp.heat_kw", role=Role.SETPOINT))
    assert list(found) == ["hp.heat_kw"]
    assert "owner unknown" in found["hp.heat_kw"]


def test_a_wrong_unit_shows_as_a_value_outside_its_range(endpoint: str) -> None:
    kelvin = signal(site_at(endpoint), "tank.temp_degc", minimum=273.0, maximum=373.0)
    found = failing(kelvin)
    assert list(found) == ["tank.temp_degc"]
    assert "outside [273, 373] degC" in found["tank.temp_degc"]


def test_a_sensor_that_lags_behind_the_plants_time_is_late(endpoint: str, lab: OpcUaLab) -> None:
    lab.advance(30.0)  # the sensors sample on whole minutes
    found = failing(signal(site_at(endpoint), "tank.temp_degc", stale_after_s=20.0))
    lab.advance(30.0)
    assert list(found) == ["tank.temp_degc"]
    assert "30 s old, late after 20 s" in found["tank.temp_degc"]


def test_a_lost_sensor_has_no_value(endpoint: str, lab: OpcUaLab) -> None:
    lab.inject_fault("sensor_lost", {"point": "battery.soc_pct"})
    lab.advance(60.0)
    found = failing(site_at(endpoint))
    assert list(found) == ["battery.soc_pct"]
    assert found["battery.soc_pct"].startswith("no value")


def test_a_switch_on_local_fails_and_nothing_else(endpoint: str, lab: OpcUaLab) -> None:
    lab.set_remote_allowed(False)
    assert list(failing(site_at(endpoint))) == ["local/remote"]


def test_only_an_emulated_plant_may_keep_its_own_time(endpoint: str) -> None:
    real, yesterday = site_at(endpoint, emulator=None), ManualClock(START - timedelta(days=1))
    assert "s from this machine's" in failing(real, clock=yesterday)["clock"]
    assert "clock" not in failing(site_at(endpoint), clock=yesterday)


def test_a_plant_that_is_not_there_is_one_line_and_no_exception() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = failing(site_at(f"opc.tcp://127.0.0.1:{port}/"))
    assert list(found) == ["plant"]
    assert "does not answer" in found["plant"]
    recorded = check_live(site_at("", adapter="recorded"))
    assert [(c["check"], c["ok"]) for c in recorded] == [("plant", False)]
