"""Each KPI against a hand calculation or an identity that it must satisfy."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from graph import kpis
from graph.errors import InputError
from graph.site import Site
from graph.sitepack import load_site
from graph.snapshot import PriceSeries
from graph.tariff import Period

powers = arrays(np.float64, (3, 8), elements=st.floats(-100, 100))


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(Path(__file__).parent / "data" / "site_pack").site


def test_import_costs_and_export_earns_its_own_price() -> None:
    cost = kpis.energy_cost([4.0, -2.0, 0.0, 8.0], [0.2, 0.2, 0.9, 0.5], [0.05] * 4, 900)
    assert float(cost) == pytest.approx((4 * 0.2 - 2 * 0.05 + 8 * 0.5) / 4)


@given(powers)
def test_a_batch_gives_what_its_rows_give(grid: np.ndarray) -> None:
    prices = np.linspace(0.1, 0.5, 8)
    whole = kpis.energy_cost(grid, prices, 0.05, 900)
    rows = [kpis.energy_cost(row, prices, 0.05, 900) for row in grid]
    np.testing.assert_allclose(whole, rows)
    np.testing.assert_array_equal(kpis.peak_kw(grid), [kpis.peak_kw(r) for r in grid])
    np.testing.assert_array_equal(
        kpis.starts(grid, 2.0, [True, False, True]),
        [kpis.starts(r, 2.0, b) for r, b in zip(grid, [True, False, True], strict=True)],
    )


@given(powers)
def test_with_one_price_for_both_ways_cost_is_price_times_net_energy(grid: np.ndarray) -> None:
    cost = kpis.energy_cost(grid, 0.3, 0.3, 900)
    np.testing.assert_allclose(cost, 0.3 * grid.sum(axis=-1) / 4, atol=1e-9)


@given(powers)
def test_a_machine_starts_at_most_once_more_than_it_stops(power: np.ndarray) -> None:
    up = kpis.starts(power, 0.0, False)
    off = (power <= 0).astype(float)
    down = kpis.starts(off, 0.5, True)
    assert np.all((up - down >= 0) & (up - down <= 1))


def test_a_machine_that_already_runs_does_not_start() -> None:
    assert kpis.starts([5, 5, 0, 5, 0, 0, 6], 2.0, True) == 2
    assert kpis.starts([5, 5, 0, 5, 0, 0, 6], 2.0, False) == 3


def test_discomfort_is_the_mean_over_zones_of_degree_hours_outside_the_band() -> None:
    temps = [[19.0, 20.0, 22.0, 25.0], [20.0, 24.0, 24.0, 24.0]]
    assert float(kpis.comfort_kh(temps, 20.0, 24.0, 3600)) == pytest.approx((1 + 1) / 2)
    lower = [18.0, 20.0, 20.0, 20.0]
    assert float(kpis.comfort_kh(temps, lower, 24.0, 3600)) == pytest.approx(0.5)


def test_export_earns_no_carbon_credit() -> None:
    assert float(kpis.carbon_kg([10.0, -50.0], [200.0, 900.0], 3600)) == pytest.approx(2.0)
    assert float(kpis.imported_kwh([10.0, -50.0], 3600)) == pytest.approx(10.0)


def trace(grid: list[float], soc: float = 50.0, tank: float = 44.0) -> dict[str, np.ndarray]:
    """A trajectory of four steps that ends at `soc` and `tank`."""
    n = len(grid)
    return {
        "grid.power_kw": np.array(grid),
        "hp.power_kw": np.array([0.0, 9.0, 9.0, 0.0][:n]),
        "battery.soc_pct": np.linspace(50.0, soc, n),
        "tank.temp_degc": np.linspace(44.0, tank, n),
        "zone_north.temp_degc": np.full(n, 19.0),
        "zone_south.temp_degc": np.full(n, 21.0),
    }


PRICES = PriceSeries(
    import_price=(0.2, 0.2, 0.4, 0.4), export_price=(0.05,) * 4, carbon_g_per_kwh=(100.0,) * 4
)
INITIAL = {"battery.soc_pct": 50.0, "tank.temp_degc": 44.0, "hp.power_kw": 0.0}


def test_the_table_holds_what_a_hand_calculation_gives(site: Site) -> None:
    table = kpis.kpi_table(site, trace([4.0, 4.0, -4.0, 8.0], 60.0, 54.0), PRICES, 900, INITIAL)
    assert set(table) == set(kpis.KPI_UNITS)
    cost = (4 * 0.2 + 4 * 0.2 - 4 * 0.05 + 8 * 0.4) / 4
    # Worth what the cheapest hour would ask for putting it there again.
    battery = 0.10 * 80 * 0.2 / np.sqrt(0.9)
    tank = 10 * 2000 * 4.18 * 0.99 / 3600 / 3.2 * 0.2
    assert float(table["cost"]) == pytest.approx(cost)
    assert float(table["storage_value"]) == pytest.approx(battery + tank)
    assert float(table["settled_cost"]) == pytest.approx(cost - battery - tank)
    assert float(table["energy"]) == pytest.approx(4.0)
    assert float(table["carbon"]) == pytest.approx(0.4)
    assert float(table["comfort"]) == pytest.approx(0.5)
    assert float(table["starts"]) == 1.0
    assert float(table["peak"]) == 8.0


def test_neither_emptying_nor_filling_a_store_is_a_saving_at_a_flat_price(site: Site) -> None:
    """Discharging 1 kWh of content yields sqrt(rte) kWh; putting it back takes 1 / sqrt(rte)."""
    flat = PRICES.model_copy(update={"import_price": (0.3,) * 4})
    drawn = 8.0 * np.sqrt(0.9)
    kept = kpis.kpi_table(site, trace([10.0] * 4), flat, 3600, INITIAL)
    used = kpis.kpi_table(site, trace([10.0 - drawn / 4] * 4, 40.0), flat, 3600, INITIAL)
    assert float(used["cost"]) < float(kept["cost"])
    lost = 8.0 * 0.3 * (1 / np.sqrt(0.9) - np.sqrt(0.9))
    assert float(used["settled_cost"]) == pytest.approx(float(kept["settled_cost"]) + lost)
    put = 8.0 / np.sqrt(0.9)
    full = kpis.kpi_table(site, trace([10.0 + put / 4] * 4, 60.0), flat, 3600, INITIAL)
    assert float(full["settled_cost"]) == pytest.approx(float(kept["settled_cost"]))


def test_the_table_is_batch_friendly(site: Site) -> None:
    one = trace([4.0, 4.0, -4.0, 8.0], 60.0, 54.0)
    many = {k: np.stack([v, v, v]) for k, v in one.items()}
    single = kpis.kpi_table(site, one, PRICES, 900, INITIAL)
    for key, values in kpis.kpi_table(site, many, PRICES, 900, INITIAL).items():
        assert values.shape == (3,), key
        np.testing.assert_allclose(values, single[key])


def test_the_demand_charge_counts_only_above_the_months_peak_and_in_its_window(site: Site) -> None:
    window = Period(name="d", start="16:00", end="21:00", price=0.0)
    priced = site.tariff.model_copy(update={"demand_charge_per_kw": 10.0, "demand_window": window})
    charged = site.model_copy(update={"tariff": priced})
    prices = PRICES.model_copy(update={"peak_so_far_kw": 5.0})
    start = datetime(2026, 1, 20, 23, 30, tzinfo=UTC)  # 15:30 in Los Angeles
    low = trace([50.0, 50.0, 7.0, 4.0])
    plain = kpis.kpi_table(site, low, prices, 900, INITIAL)
    with_charge = kpis.kpi_table(charged, low, prices, 900, INITIAL, start)
    assert float(with_charge["cost"] - plain["cost"]) == pytest.approx((7.0 - 5.0) * 10.0)
    with pytest.raises(InputError, match="demand window"):
        kpis.kpi_table(charged, low, prices, 900, INITIAL)


def test_a_missing_signal_is_named(site: Site) -> None:
    broken = trace([1.0] * 4)
    del broken["battery.soc_pct"]
    with pytest.raises(InputError, match=r"battery\.soc_pct"):
        kpis.kpi_table(site, broken, PRICES, 900, INITIAL)
