"""What an infeasible sentence is told: which wishes stand against each other, and what would do."""

import pytest

from graph.intent import Band, KeepOff, TotalLimit, Window
from graph.plan import Conflict, Plan, SolveStatus
from tests.rc_days import Days
from tests.test_dispatch import HP, Day, planned, wish

BUDGET = TotalLimit(quantity="cost", maximum=10.0, unit="USD")
OFF = KeepOff(point=HP)
HALF_FULL = Band(signals=("battery.soc_pct",), minimum=30, unit="%", hard=True, chance=None)


def by_wish(plan: Plan) -> dict[str, Conflict]:
    assert plan.status is SolveStatus.INFEASIBLE
    assert not plan.setpoints
    return {c.id.split(":")[1]: c for c in plan.conflicts}


def test_wishes_that_stand_against_each_other_are_named_and_the_others_are_not():
    snapshot = Day(cold=2, steps=32).snapshot()
    found = by_wish(planned(snapshot, wish(snapshot, OFF, HALF_FULL, hard=True)))
    (conflict,) = found.values()
    names = {conflict.wish, *conflict.against}
    assert names == {
        "keep the heat pump off (hard)",
        "always keep the north rooms and the south rooms between 20 and 24 °C (hard)",
    }
    assert conflict.limits == ("Buffer tank: lower limit 30 degC",)
    assert all(name in conflict.text for name in conflict.against)


def test_each_cure_is_the_least_and_the_cheapest_comes_first():
    snapshot = Day(cold=2, steps=40).snapshot()

    def asked(budget: float, low: float) -> Plan:
        limit = BUDGET.model_copy(update={"maximum": budget})
        whole = wish(snapshot, limit, hard=True, low=low)
        firm = tuple(c for c in whole.constraints if c.hard)
        return planned(snapshot, whole.model_copy(update={"constraints": firm}))

    (conflict, *_) = asked(10.0, 20.5).conflicts
    assert len(conflict.cures) == 2
    rooms = next(c for c in conflict.cures if "keep the north rooms" in c.wish)
    money = next(c for c in conflict.cures if c.wish.startswith("spend at most"))
    assert [c.cost for c in conflict.cures] == sorted(c.cost for c in conflict.cures)
    assert money.unit == "USD"
    assert rooms.unit == "K"
    assert asked(money.relaxed_to * 1.01, 20.5).status.usable
    assert asked(10.0, rooms.relaxed_to - 0.01).status.usable
    assert not asked(10.0 + 0.8 * money.amount, 20.5).status.usable
    # Two rooms give, in sum as little as can be: half of the greater for each is too little.
    assert not asked(10.0, 20.5 - 0.45 * rooms.amount).status.usable


def test_two_conflicts_at_once_are_told_apart():
    snapshot = Day(cold=2, steps=32).snapshot()
    dark = Band(signals=("grid.power_kw",), maximum=1.0, unit="kW", hard=True, chance=None,
                window=Window(daily_from="06:00", daily_to="08:00"))  # fmt: skip
    full = Band(signals=("battery.soc_pct",), minimum=90, unit="%", hard=True, chance=None,
                window=Window(daily_from="06:00", daily_to="08:00"))  # fmt: skip
    found = by_wish(planned(snapshot, wish(snapshot, OFF, dark, full, hard=True)))
    heat = [c for c in found.values() if "heat pump" in " ".join((c.wish, *c.against))]
    power = [c for c in found.values() if "import at most 1 kW" in " ".join((c.wish, *c.against))]
    assert heat
    assert power
    assert not {c.id for c in heat} & {c.id for c in power}


def test_an_office_is_told_its_wishes_in_its_own_words():
    days = Days(warmer=-8.0, begin=18.0, steps=72)
    warm = Band(
        signals=("zone_a.temp_degc", "zone_b.temp_degc"), minimum=21, unit="degC", hard=True,
        chance=None, window=Window(daily_from="09:00", daily_to="17:00"),
    )  # fmt: skip
    cap = Band(signals=("grid.power_kw",), maximum=4.0, unit="kW", hard=True, chance=None)
    spend = TotalLimit(quantity="cost", maximum=500.0, unit="USD")
    (conflict,) = by_wish(days.plan(warm, cap, spend)).values()
    assert conflict.wish == "import at most 4 kW from the grid (hard)"
    (other,) = conflict.against
    assert "below 21 °C" in other
    assert "09:00" in other
    assert {c.unit for c in conflict.cures} == {"kW", "K"}
    eased = next(c for c in conflict.cures if c.unit == "kW")
    assert eased.relaxed_to == pytest.approx(conflict.relaxed_to, rel=0.02)
