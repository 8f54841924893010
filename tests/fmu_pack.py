"""Site packs around FMUs, for tests."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from graph.sitepack import SitePack, load_site
from graph.telemetry import Frame, write_frame
from tests.fmu_factory import UPPER, build

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def signal(name: str, unit: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    """One signal of a site's document."""
    return {"id": name, "unit": unit, "minimum": low, "maximum": high, **more}


def site_around(
    plant: dict[str, Any], assets: dict[str, str], signals: list[dict[str, Any]]
) -> dict[str, Any]:
    """A site's document; `assets`: kinds by id, besides the grid. Setpoints rest at 10."""
    resting = [s["id"] for s in signals if s.get("role") == "setpoint"]
    return {
        "schema_version": "pilothouse/site/v1", "id": "tanks", "name": "Tanks",
        "time_zone": "Europe/Berlin", "currency": "EUR", "step_s": 60,
        "assets": [
            {"id": "grid", "kind": "grid_connection", "label": "Mains", "import_limit_kw": 5,
             "export_limit_kw": 0},
            *({"id": name, "kind": kind, "label": name} for name, kind in assets.items()),
        ],
        "signals": signals,
        "tariff": {"source": "for a test", "import_periods": [{"name": "flat", "price": 0.3}],
                   "export_periods": [{"name": "none", "price": 0.0}]},
        "baseline": {"points": {name: [{"at": "00:00", "value": 10.0}] for name in resting}},
        "plant": plant,
        "autonomy": {"risk_rules": [{"level": "high", "max_probability": 1.0,
                                     "roles": ["engineer"], "min_persons": 1}]},
    }  # fmt: skip


def write_pack(folder: Path, built: Path, site: dict[str, Any], inputs: Frame) -> Path:
    """A pack with the FMUs of `built`; returns its folder."""
    (folder / "data").mkdir(parents=True)
    shutil.copytree(built, folder / "fmus")
    write_frame(folder / "data" / "inputs.parquet", inputs)
    (folder / "site.yaml").write_text(yaml.safe_dump(site, sort_keys=False))
    return folder


def one_tank(folder: Path) -> SitePack:
    """A pack of one tank in C: its feed is commanded, what is drawn from it is recorded."""
    (folder / "built").mkdir()
    build(folder / "built", UPPER)
    simulator = {
        "kind": "fmu", "step_s": 60, "components": {"upper": {"file": "fmus/upper.fmu"}},
        "points": {
            "upper.level_m": {"name": "upper.h"},
            "upper.feed_ls": {"name": "upper.q_feed", "scale": 1000},
        },
        "local": {"upper.feed_ls": 10.0}, "inputs": {"upper.draw_ls": "upper.q_out"},
    }  # fmt: skip
    signals = [
        signal("upper.level_m", "m", -50, 50), signal("upper.draw_ls", "l/s", 0, 50),
        signal("upper.feed_ls", "l/s", 0, 50, role="setpoint"),
    ]  # fmt: skip
    plant = {"adapter": "simulated", "simulator": simulator}
    draws = Frame(START, 300, {"upper.draw_ls": np.linspace(5.0, 15.0, 60)})
    site = site_around(plant, {"upper": "equipment"}, signals)
    return load_site(write_pack(folder / "pack", folder / "built", site, draws))
