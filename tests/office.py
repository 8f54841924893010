"""A small office as a site, for tests of the building twin: five zones, one heat pump each."""

from typing import Any

from graph.site import Site

ZONES = {"core": 149.7, "south": 113.5, "east": 67.3, "north": 113.5, "west": 67.3}
WORKDAYS = ("mon", "tue", "wed", "thu", "fri")


def office(zones: tuple[str, ...] = tuple(ZONES), heat_metered: bool = True) -> Site:
    """The site; `heat_metered` False leaves the zones' heat meters out."""
    every = {"days": list(WORKDAYS)}
    return Site.model_validate({
        "schema_version": "pilothouse/site/v1", "id": "test_office", "name": "Test office",
        "time_zone": "America/Los_Angeles", "currency": "USD", "step_s": 900,
        "assets": _assets(zones), "signals": _signals(zones, heat_metered),
        "tariff": {"source": "test", "import_periods": [{"name": "flat", "price": 0.25}],
                   "export_periods": [{"name": "flat", "price": 0.04}]},
        "comfort": {"group": "rooms", "lower_degc": 20, "upper_degc": 25,
                    "hours": [{**every, "start": "07:00", "end": "18:00"}]},
        "baseline": {
            "zone_heating_degc": [{"at": "00:00", "value": 15.6},
                                  {"at": "06:00", "value": 21.1, **every},
                                  {"at": "19:00", "value": 15.6, **every}],
            "zone_cooling_degc": [{"at": "00:00", "value": 29.4},
                                  {"at": "06:00", "value": 23.9, **every},
                                  {"at": "18:00", "value": 29.4, **every}],
            "ventilation": [{**every, "start": "06:00", "end": "19:00"}],
        },
        "twin": {"kind": "building"},
        "autonomy": {"risk_rules": [
            {"level": "low", "max_probability": 0.05, "roles": ["operator"], "min_persons": 1}]},
    })  # fmt: skip


def _assets(zones: tuple[str, ...]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"id": "grid", "kind": "grid_connection", "import_limit_kw": 40, "export_limit_kw": 0},
        {"id": "building", "kind": "load", "rated_kw": 10},
        {"id": "outdoor", "kind": "weather", "latitude_deg": 36.78, "longitude_deg": -119.72},
    ]
    for z in zones:
        found.append({"id": f"unit_{z}", "kind": "air_unit", "heating_kw": 6.0, "cooling_kw": 5.0,
                      "nominal_cop_heating": 3.36, "nominal_cop_cooling": 4.1, "fan_kw": 0.27,
                      "source": "outdoor"})  # fmt: skip
        found.append({"id": f"zone_{z}", "kind": "zone", "floor_area_m2": ZONES[z],
                      "source": f"unit_{z}"})  # fmt: skip
    return found


def _signals(zones: tuple[str, ...], heat_metered: bool) -> list[dict[str, Any]]:
    def power(name: str, low: float, high: float) -> dict[str, Any]:
        return {"id": f"{name}_kw", "unit": "kW", "minimum": low, "maximum": high}

    found = [power("grid.power", 0, 40), power("building.power", 0, 15),
             {"id": "outdoor.temp_degc", "unit": "degC", "minimum": -30, "maximum": 50},
             {"id": "outdoor.ghi_w_m2", "unit": "W/m2", "minimum": 0, "maximum": 1300}]  # fmt: skip
    for z in zones:
        found.append(power(f"unit_{z}.power", 0, 5))
        found += [power(f"zone_{z}.heat", -10, 10)] if heat_metered else []
        found.append({"id": f"zone_{z}.temp_degc", "unit": "degC", "minimum": 0, "maximum": 50})
        for mode, low, high in (("heating", 15, 24), ("cooling", 20, 30)):
            found.append({"id": f"zone_{z}.{mode}_setpoint_degc", "unit": "degC",
                          "role": "setpoint", "minimum": low, "maximum": high})  # fmt: skip
    return found
