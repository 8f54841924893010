"""The twin graph's reach, paths and causes at the test site."""

from pathlib import Path

import pytest

from graph.errors import InputError
from graph.sitepack import load_site
from graph.twin_graph import TwinGraph

GRAPH = TwinGraph(load_site(Path(__file__).parent / "data" / "site_pack").site)


def test_heat_reaches_the_zones_through_pump_and_tank() -> None:
    assert GRAPH.path("grid", "zone_south") == ("grid", "hp", "tank", "zone_south")
    assert GRAPH.path("zone_south", "grid") == ()
    assert GRAPH.downstream("hp") == ("tank", "zone_north", "zone_south")
    assert GRAPH.downstream("zone_north") == ()


def test_every_cause_is_a_declared_signal_and_none_is_its_own() -> None:
    for asset in ("grid", "battery", "hp", "tank", "zone_north", "outdoor"):
        for spec in GRAPH.signals_of(asset):
            parents = GRAPH.parents(spec.id)
            assert spec.id not in parents
            for parent in parents:
                assert GRAPH.parents(parent) is not None


def test_setpoints_and_weather_have_no_causes_inside_the_site() -> None:
    for signal in ("hp.power_set_kw", "battery.power_set_kw", "outdoor.temp_degc"):
        assert GRAPH.parents(signal) == ()


def test_a_chain_of_causes_leads_from_a_setpoint_to_the_bill() -> None:
    chain = ("hp.power_set_kw", "hp.power_kw", "grid.power_kw")
    assert GRAPH.causal_path("hp.power_set_kw", "grid.power_kw") == chain
    assert GRAPH.causal_path("battery.power_set_kw", "zone_north.temp_degc") == ()
    assert "outdoor.ghi_w_m2" in GRAPH.ancestors("zone_north.temp_degc")
    assert set(GRAPH.parents("grid.power_kw")) == {
        "building.power_kw", "pv.power_kw", "battery.power_kw", "hp.power_kw",
    }  # fmt: skip


def test_unknown_names_are_refused_with_what_there_is() -> None:
    with pytest.raises(InputError, match="it has: grid"):
        GRAPH.downstream("vat")
    with pytest.raises(InputError, match=r"grid\.power_kw"):
        GRAPH.parents("vat.temp_degc")
