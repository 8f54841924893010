"""Builds the series and the forecaster of `scenarios/citylearn` from the wheel of CityLearn 2.2b0.

    python -m scenarios.build_citylearn_data CITYLEARN_WHEEL

Of houses 1 to 5 only the first 30 days are kept (hours 0 to 719), for tests and examples. The
forecaster is fitted on houses 6 to 17 without those whose meters the literature calls broken (12: a
frozen load meter, 15: nearly no PV) and without 14's PV; houses 1 to 5 are never read for it.
"""

import argparse
import csv
import io
import json
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planner.lead_forecast import LEADS, LeadCoefficients, LeadForecaster, Observed
from scenarios.build_microgrid_data import write_series

Array = NDArray[np.float64]
INSIDE = "citylearn/data/datasets/citylearn_challenge_2022_phase_all/"
FIRST_BEGIN = datetime(2016, 8, 1, tzinfo=timezone(timedelta(hours=-8)))
KEPT_HOURS = 720
HOUSES = range(1, 6)
LOAD_HOUSES = tuple(i for i in range(6, 18) if i not in (12, 15))
PV_HOUSES = tuple(i for i in LOAD_HOUSES if i != 14)
LOAD_RIDGE, PV_RIDGE = 20.0, 2.0
WARM_UP_ROWS = 7 * 24
WEATHER = (
    "outdoor_dry_bulb_temperature", "direct_solar_irradiance", "diffuse_solar_irradiance",
)  # fmt: skip
AHEAD_H = (6, 12, 24)


def table(wheel: zipfile.ZipFile, name: str) -> dict[str, Array]:
    """The columns of a CSV file of the data set, each (8760,)."""
    rows = list(csv.DictReader(io.StringIO(wheel.read(INSIDE + name).decode("utf-8"))))
    return {k: np.array([float(r[k] or "nan") for r in rows]) for k in rows[0]}


def house(wheel: zipfile.ZipFile, number: int, rated_kw: float) -> tuple[Array, Array]:
    """Load and PV, (8760,) kW."""
    columns = table(wheel, f"Building_{number}.csv")
    return columns["non_shiftable_load"], columns["solar_generation"] * rated_kw / 1000.0


def told(weather: dict[str, Array], row: int) -> dict[int, tuple[float, float, float]]:
    """The weather that the environment tells at a row: now and 6, 12 and 24 hours ahead."""

    def triple(suffix: str) -> tuple[float, float, float]:
        a, b, c = (float(weather[n + suffix][row]) for n in WEATHER)
        return a, b, c

    return {0: triple(""), **{h: triple(f"_predicted_{h}h") for h in AHEAD_H}}


def fitted(loads: Array, pvs: Array, rated: Array, weather: dict[str, Array],
           pv_rows: Sequence[int]) -> LeadCoefficients:  # fmt: skip
    """Ridge regressions, one a lead, over all rows of all given houses (H, 8760).

    `pv_rows`: which of the houses PV is fitted on.
    """
    hour = np.arange(loads.shape[1]) % 24
    by_hour = [hour == h for h in range(24)]
    load_profile = np.array([loads[:, at].mean() for at in by_hour])
    share = pvs[list(pv_rows)] / rated[list(pv_rows), None]
    pv_profile = np.array([share[:, at].mean() for at in by_hour])
    blank = LeadCoefficients(np.zeros((0, 0)), np.zeros((0, 0)), load_profile, pv_profile)
    reader = LeadForecaster(blank, rated, FIRST_BEGIN)
    sums: dict[str, tuple[Array, Array]] = {}
    for row in range(loads.shape[1] - LEADS):
        reader.observe(Observed(loads[:, row], pvs[:, row], told(weather, row)))
        if row < WARM_UP_ROWS:
            continue
        ahead = slice(row + 1, row + 1 + LEADS)
        load_x, pv_x = reader.features()
        for name, x, y in (
            ("load", load_x, loads[:, ahead]),
            ("pv", pv_x[list(pv_rows)], pvs[list(pv_rows), ahead]),
        ):  # fmt: skip
            gram, moment = np.einsum("hkf,hkg->kfg", x, x), np.einsum("hkf,hk->kf", x, y)
            old = sums.get(name)
            sums[name] = (gram, moment) if old is None else (old[0] + gram, old[1] + moment)
    found = {
        name: np.array([np.linalg.solve(g + ridge * np.eye(len(g)), m)
                        for g, m in zip(*sums[name], strict=True)])
        for name, ridge in (("load", LOAD_RIDGE), ("pv", PV_RIDGE))
    }  # fmt: skip
    return LeadCoefficients(found["load"], found["pv"], load_profile, pv_profile)


def main() -> None:
    """Write data/telemetry.parquet, data/carbon.parquet and forecaster.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("citylearn_wheel", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "citylearn")
    given = parser.parse_args()
    with zipfile.ZipFile(given.citylearn_wheel) as wheel:
        schema = json.loads(wheel.read(INSIDE + "schema.json"))["buildings"]
        rated = {
            i: float(schema[f"Building_{i}"]["pv"]["attributes"]["nominal_power"])
            for i in (*HOUSES, *LOAD_HOUSES)
        }
        weather = table(wheel, "weather.csv")
        carbon = table(wheel, "carbon_intensity.csv")["carbon_intensity"]
        series = {i: house(wheel, i, rated[i]) for i in rated}
    (given.out / "data").mkdir(parents=True, exist_ok=True)
    _write_series(given.out / "data", series, weather, carbon)
    others = [i for i in rated if i in LOAD_HOUSES]
    loads, pvs = (np.array([series[i][k] for i in others]) for k in range(2))
    rates = np.array([rated[i] for i in others])
    found = fitted(loads, pvs, rates, weather, [others.index(i) for i in PV_HOUSES])
    document = {
        "source": "ridge regressions of scenarios/build_citylearn_data.py on CityLearn 2022, "
        f"houses {', '.join(map(str, others))}",
        "load": np.round(found.load, 5).tolist(), "pv": np.round(found.pv, 5).tolist(),
        "load_profile": np.round(found.load_profile, 4).tolist(),
        "pv_profile": np.round(found.pv_profile, 5).tolist(),
    }  # fmt: skip
    text = json.dumps(document, separators=(",", ":")) + "\n"
    (given.out / "forecaster.json").write_text(text, encoding="utf-8")


def _write_series(
    out: Path, series: dict[int, tuple[Array, Array]], weather: dict[str, Array], carbon: Array
) -> None:
    rows = slice(0, KEPT_HOURS)
    begin = FIRST_BEGIN.astimezone(UTC)
    ends = [begin + timedelta(hours=k + 1) for k in range(KEPT_HOURS)]
    columns: dict[str, Array] = {}
    for i in HOUSES:
        load, pv = series[i]
        columns[f"house_{i}.power_kw"] = np.round(load[rows], 4)
        columns[f"pv_{i}.power_kw"] = np.round(pv[rows], 4)
        for name in ("soc_pct", "power_kw", "power_set_kw"):
            columns[f"battery_{i}.{name}"] = np.zeros(KEPT_HOURS)
    total = sum(series[i][0][rows] - series[i][1][rows] for i in HOUSES)
    columns["grid.power_kw"] = np.round(np.asarray(total), 4)
    names = ("outdoor.temp_degc", "outdoor.direct_w_m2", "outdoor.diffuse_w_m2")
    for name, theirs in zip(names, WEATHER, strict=True):
        columns[name] = weather[theirs][rows]
    write_series(out / "telemetry.parquet", ends, columns)
    write_series(out / "carbon.parquet", ends, {"g_per_kwh": np.round(1000.0 * carbon[rows], 3)})


if __name__ == "__main__":
    main()
