"""A site pack as a stranger writes it: a plant behind REST, and nothing of ours but the docs."""

import json
from pathlib import Path
from typing import Any

import yaml

K_TO_DEGC = {"offset": -273.15}
W_TO_KW = {"scale": 0.001}


def _signal(name: str, unit: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"id": name, "unit": unit, "minimum": low, "maximum": high, **more}


def _setpoint(name: str, low: float, high: float) -> dict[str, Any]:
    return _signal(name, "degC", low, high, role="setpoint", deadband=0.05, resolution=0.01)


def zone_signals(zone: str) -> list[dict[str, Any]]:
    return [
        _signal(f"{zone}.temp_degc", "degC", 5, 45, critical=True, stale_after_s=1800),
        _signal(f"{zone}.heat_kw", "kW", -8, 12),
        _setpoint(f"{zone}.heating_setpoint_degc", 15, 24),
        _setpoint(f"{zone}.cooling_setpoint_degc", 20, 30),
    ]


def zone_points(zone: str, name: str) -> dict[str, Any]:
    return {
        f"{zone}.temp_degc": {"name": f"reaTZon{name}_y", **K_TO_DEGC},
        f"{zone}.heat_kw": {"name": f"reaQ{name}_y", **W_TO_KW},
        f"{zone}.heating_setpoint_degc": {
            "name": f"oveTSetHea{name}_u", "activate": f"oveTSetHea{name}_activate", **K_TO_DEGC,
        },
        f"{zone}.cooling_setpoint_degc": {"name": f"oveTSetCoo{name}_u", **K_TO_DEGC},
    }  # fmt: skip


def document(url: str) -> dict[str, Any]:
    """site.yaml as a mapping; what is not said is left to the defaults."""
    working = ["mon", "tue", "wed", "thu", "fri"]
    return {
        "schema_version": "pilothouse/site/v1",
        "id": "rest_house",
        "name": "Two zones on fan coils, behind REST",
        "time_zone": "America/Los_Angeles",
        "currency": "USD",
        "step_s": 900,
        "assets": [
            {"id": "grid", "kind": "grid_connection", "label": "Mains", "import_limit_kw": 12,
             "export_limit_kw": 0},
            {"id": "plugs", "kind": "load", "label": "Plugs", "rated_kw": 3},
            {"id": "outdoor", "kind": "weather", "label": "Weather", "latitude_deg": 36.78,
             "longitude_deg": -119.72},
            {"id": "unit", "kind": "air_unit", "label": "Heat pump with fan coils",
             "heating_kw": 8.5, "cooling_kw": 7.0, "nominal_cop_heating": 3.2,
             "nominal_cop_cooling": 3.0, "fan_kw": 0.2, "source": "outdoor"},
            {"id": "zone_north", "kind": "zone", "label": "North", "floor_area_m2": 120,
             "source": "unit"},
            {"id": "zone_south", "kind": "zone", "label": "South", "floor_area_m2": 100,
             "source": "unit"},
        ],
        "signals": [
            _signal("grid.power_kw", "kW", 0, 20),
            _signal("plugs.power_kw", "kW", 0, 5),
            _signal("unit.power_kw", "kW", 0, 10),
            _signal("outdoor.temp_degc", "degC", -30, 50),
            _signal("outdoor.ghi_w_m2", "W/m2", 0, 1400),
            *zone_signals("zone_north"),
            *zone_signals("zone_south"),
        ],
        "tariff": {
            "source": "time of use, made up for a test",
            "import_periods": [
                {"name": "night", "start": "00:00", "end": "16:00", "price": 0.21},
                {"name": "evening", "start": "16:00", "end": "21:00", "price": 0.50},
                {"name": "late", "start": "21:00", "end": "24:00", "price": 0.21},
            ],
            "export_periods": [{"name": "none", "price": 0.0}],
        },
        "limits": [
            {"signal": "grid.power_kw", "maximum": 12, "label": "Main fuse"},
            {"signal": "zone_north.temp_degc", "minimum": 14, "maximum": 32},
            {"signal": "zone_south.temp_degc", "minimum": 14, "maximum": 32},
        ],
        "comfort": {
            "group": "rooms", "lower_degc": 20, "upper_degc": 25,
            "hours": [{"days": working, "start": "08:00", "end": "18:00"}],
        },
        "baseline": {
            "zone_heating_degc": [
                {"at": "00:00", "value": 17},
                {"at": "07:00", "value": 21, "days": working},
                {"at": "18:00", "value": 17},
            ],
            "zone_cooling_degc": [
                {"at": "00:00", "value": 28},
                {"at": "07:00", "value": 24, "days": working},
                {"at": "18:00", "value": 28},
            ],
            "source": "the thermostats' settings",
        },
        "twin": {"kind": "building", "parameters": "twin.json"},
        "plant": {
            "adapter": "simulated",
            "has_watchdog": True,
            "cycle_s": 900,
            "simulator": {
                "kind": "boptest",
                "url": url,
                "testcase": "two_zone_fan_coils",
                "year": 2026,
                "points": {
                    "grid.power_kw": {"name": "reaPUni_y", "plus": ["reaPPlu_y"], **W_TO_KW},
                    "plugs.power_kw": {"name": "reaPPlu_y", **W_TO_KW},
                    "unit.power_kw": {"name": "reaPUni_y", **W_TO_KW},
                    "outdoor.temp_degc": {"name": "weaSta_reaWeaTDryBul_y", **K_TO_DEGC},
                    "outdoor.ghi_w_m2": {"name": "weaSta_reaWeaHGloHor_y"},
                    **zone_points("zone_north", "Nor"),
                    **zone_points("zone_south", "Sou"),
                },
            },
        },
        "autonomy": {
            "lease_s": 1800, "futures": 200,
            "risk_rules": [
                {"level": "low", "max_probability": 0.05, "roles": ["operator"], "min_persons": 1},
                {"level": "medium", "max_probability": 0.2, "roles": ["operator"],
                 "min_persons": 1},
                {"level": "high", "max_probability": 1.0, "roles": ["operator"], "min_persons": 1},
            ],
        },
    }  # fmt: skip


def write_pack(folder: Path, url: str, **plant: Any) -> Path:
    """The pack in `folder`, without telemetry. `plant`: fields of the simulator to change."""
    found = document(url)
    found["plant"]["simulator"].update(plant)
    folder.mkdir(parents=True)
    plain = json.loads(json.dumps(found))  # no object twice, so no YAML aliases
    (folder / "site.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    sentence = "minimise energy cost, keep the rooms between 20 and 25 °C from 08:00 to 18:00"
    intents = {"intents": [{"name": "usual", "text": sentence}]}
    (folder / "intents.yaml").write_text(yaml.safe_dump(intents, allow_unicode=True))
    return folder
