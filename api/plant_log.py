"""The plant's own log, and the KPIs that anybody can recompute from it."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agents.snapshot_builder import carbon_at
from graph.errors import InputError
from graph.kpis import kpi_table
from graph.record import grid, parse_iso
from graph.site import Site
from graph.snapshot import PriceSeries
from graph.tariff import prices
from graph.telemetry import Frame

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PlantLog:
    """Rows of the plant's log: END labels of equal steps, and a column a signal."""

    times: tuple[datetime, ...]
    columns: Mapping[str, Array]

    @property
    def step_s(self) -> float:
        """Length of a row."""
        return (self.times[1] - self.times[0]).total_seconds()

    def between(self, start: datetime, end: datetime) -> "PlantLog":
        """Rows with start < time <= end."""
        keep = [k for k, t in enumerate(self.times) if start < t <= end]
        if not keep:
            raise InputError(f"the log has no row between {start} and {end}")
        rows = slice(keep[0], keep[-1] + 1)
        return PlantLog(self.times[rows], {n: v[rows] for n, v in self.columns.items()})


def read_log(path: Path, signals: Sequence[str]) -> PlantLog:
    """Read `plant.csv`. Raises InputError naming file, line and column."""
    times: list[datetime] = []
    columns: dict[str, list[float]] = {s: [] for s in signals}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = [s for s in ("time", *signals) if s not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{path}: no column {', '.join(missing)}")
        for line, row in enumerate(reader, start=2):
            try:
                times.append(parse_iso(row["time"]))
                for signal in signals:
                    columns[signal].append(float(row[signal]))
            except ValueError as error:
                raise InputError(f"{path}:{line}: {error}") from error
    return PlantLog(tuple(times), {s: np.array(v) for s, v in columns.items()})


def log_prices(site: Site, carbon: Frame | None, log: PlantLog) -> PriceSeries:
    """Prices over the log's rows, each at the beginning of its row."""
    step = log.step_s
    begins = grid(log.times[0] - timedelta(seconds=step), step, len(log.times))
    tariff, zone = site.tariff, site.zone_info
    return PriceSeries(
        import_price=tuple(prices(tariff.import_periods, begins, zone).tolist()),
        export_price=tuple(prices(tariff.export_periods, begins, zone).tolist()),
        carbon_g_per_kwh=tuple(carbon_at(carbon, begins).tolist()),
    )


def log_kpis(
    site: Site, carbon: Frame | None, log: PlantLog, initial: Mapping[str, float]
) -> dict[str, float]:
    """KPIs of a log by the one KPI code. `initial`: the signals just before its first row."""
    series = log_prices(site, carbon, log)
    start = log.times[0] - timedelta(seconds=log.step_s)
    table = kpi_table(site, log.columns, series, log.step_s, initial, start)
    return {name: float(value) for name, value in table.items()}


def row_before(log: PlantLog, start: datetime) -> dict[str, float]:
    """The last row at or before `start`: the initial state of what follows."""
    index = max((k for k, t in enumerate(log.times) if t <= start), default=0)
    return {name: float(values[index]) for name, values in log.columns.items()}
