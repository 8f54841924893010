"""Foreign telemetry made clean: a frame on the site's step, and a report that loses nothing.

1. Rows get their place in time (`telemetry_rows`, `telemetry_clock`).
2. Columns are judged against what the site declares of each signal: unit, range, spikes, stuck
   sensors (`telemetry_units`, `telemetry_values`). Doubtful cells become missing, never invented.
3. Samples are gathered on the site's step: means of flows, last values of stocks. A sample that is
   alone in its step keeps its bits.
4. What the data cannot tell is a question with an id; until it is answered those rows or cells
   are missing, and the report says that it is open.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from graph.assets import Weather
from graph.errors import InputError
from graph.raw_telemetry import RawTable
from graph.resampling import binned, is_state, step_index
from graph.signals import Role
from graph.site import Site
from graph.telemetry import Frame
from sandbox.telemetry_clock import against_the_sun, jumps, set_back
from sandbox.telemetry_report import Change, Findings, QualityReport, Table
from sandbox.telemetry_rows import (
    Grid,
    grid_of,
    in_order,
    merged,
    placed,
    snapped,
    without_strays,
)
from sandbox.telemetry_units import mend_units
from sandbox.telemetry_values import check_range, check_spikes, check_stuck, check_text

Array = NDArray[np.float64]
MAX_ROWS = 2_000_000  # of the frame: twenty years of quarter hours are 0.7 million
LEAST_SHARE = 0.5  # of a step's samples that a mean must rest on


@dataclass(frozen=True)
class ImportOptions:
    """zone: of stamps without one (default: the site's). answers: by id of a question.

    begins: stamps are the begin of their interval, not its end.
    """

    zone: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    begins: bool = False


@dataclass(frozen=True)
class Cleaned:
    """The frame with every declared signal, the report, and each cell that was changed."""

    frame: Frame
    report: QualityReport
    changes: tuple[Change, ...]


def clean(site: Site, raw: RawTable, options: ImportOptions | None = None) -> Cleaned:
    """Make `raw` the telemetry of `site`.

    Raises:
        InputError: nothing of the site is in the file, its step is coarser than the site's, an
            answer fits no question or no choice, the zone is unknown.
    """
    options = options or ImportOptions()
    signals = [s.id for s in site.signals]
    if not set(signals) & set(raw.columns):
        raise InputError(
            f"{raw.name}: no column is a signal of {site.id}; it has {', '.join(raw.unused)[:300]}",
            f"name them with --map OLD=NEW; the site has {', '.join(signals)[:300]}",
        )
    findings = Findings(options.answers)
    zone = options.zone or site.time_zone
    table = placed(raw, zone, findings)
    _check_cells(raw, table, findings)
    table, grid = _ordered(site, table, findings)
    if options.begins:
        table.seconds = table.seconds + grid.step_s
    _check_values(site, table, findings)
    table = _sun(site, table, grid, findings)
    frame = _gathered(site, table, grid, findings)
    _check_absent(site, raw, table, findings)
    _check_answers(findings)
    report = QualityReport(
        file=raw.name,
        rows_read=raw.rows_read,
        rows_used=len(table),
        zone="in the file" if raw.has_zone else zone,
        raw_step_s=grid.step_s,
        step_s=site.step_s,
        start=frame.start,
        end=frame.end,
        rows=len(frame),
        missing_share={n: float(np.isnan(v).mean()) for n, v in frame.columns.items()},
        defects=tuple(findings.defects),
        questions=tuple(findings.questions),
        answers=findings.used_answers,
        unused_columns=raw.unused,
    )
    return Cleaned(frame, report, tuple(findings.changes))


def _check_cells(raw: RawTable, table: Table, findings: Findings) -> None:
    cells: dict[str, list[tuple[int, str]]] = {}
    for bad in raw.unreadable:
        cells.setdefault(bad.signal, []).append((bad.line, bad.text))
    check_text(table, cells, findings)


def _ordered(site: Site, table: Table, findings: Findings) -> tuple[Table, Grid]:
    """Rows in order, one a stamp, on their grid. Raises InputError for a step that is too long."""
    table = without_strays(table, findings)
    grid = grid_of(table)
    if grid.step_s > site.step_s * 1.001:
        raise InputError(
            f"the file has a row each {grid.step_s:g} s, the site works on {site.step_s} s",
            "record at least as often, or set step_s of the site to the file's step",
        )
    table = jumps(table, grid, findings)
    table = set_back(table, grid, findings)
    table = snapped(table, grid, findings, float(site.step_s))
    return merged(in_order(table, findings), findings), grid


def _check_values(site: Site, table: Table, findings: Findings) -> None:
    for spec in site.signals:
        if spec.id not in table.columns:
            continue
        mend_units(table, spec, findings)
        check_range(table, spec, findings)
        if spec.role is Role.SETPOINT:
            continue
        check_stuck(table, spec, findings)
        check_spikes(table, spec, findings)


def _sun(site: Site, table: Table, grid: Grid, findings: Findings) -> Table:
    stations = [a for a in site.of_kind("weather") if isinstance(a, Weather)]
    if not stations:
        return table
    ghi = f"{stations[0].id}.ghi_w_m2"
    seen = against_the_sun(table, grid, findings, ghi, stations[0].longitude_deg)
    return merged(in_order(seen, findings), findings)


def _gathered(site: Site, table: Table, grid: Grid, findings: Findings) -> Frame:
    """The site's grid from the first to the last row; see step 3 of the module's text."""
    step = float(site.step_s)
    # A file on the site's own step keeps its phase; a finer one is put on whole steps.
    phase = grid.phase_s % step if grid.regular and grid.step_s == step else 0.0
    if not len(table):
        raise InputError("no row is left", "answer the questions, or correct the file")
    begin = float(np.ceil((table.seconds[0] - phase) / step - 1e-9)) * step + phase - step
    index = step_index(table.seconds, begin, step)
    rows = int(index[-1]) + 1
    if rows > MAX_ROWS:
        raise InputError(f"the stamps span {rows} steps", f"at most {MAX_ROWS}; split the file")
    expected = step / grid.step_s if grid.regular else 1.0
    columns: dict[str, Array] = {}
    for spec in site.signals:
        values = table.columns.get(spec.id, np.full(len(table), np.nan))
        last = is_state(site, spec.id)
        out = binned(index, values, rows, last=last)
        if not last and expected > 1.0:
            count = np.bincount(index[np.isfinite(values)], minlength=rows)
            out[count < LEAST_SHARE * expected] = np.nan
        columns[spec.id] = out
    start = datetime.fromtimestamp(begin, UTC) + timedelta(seconds=step)
    _report_gaps(table, index, rows, begin, step, findings)
    return Frame(start, site.step_s, columns)


def _report_gaps(
    table: Table, index: NDArray[np.int64], rows: int, begin: float, step: float,
    findings: Findings,
) -> None:  # fmt: skip
    """Steps in which the file has no row."""
    empty = np.ones(rows, dtype=bool)
    empty[index] = False
    missing = np.flatnonzero(empty)
    if not len(missing):
        return
    # The line before each missing step: where in the file the rows would stand.
    before = table.lines[np.searchsorted(index, missing) - 1]
    places = Table(np.asarray(begin + step * (missing + 1.0)), before, {})
    parts = np.split(np.arange(len(missing)), np.flatnonzero(np.diff(missing) > 1) + 1)
    longest = max(len(p) for p in parts)
    findings.gaps(
        places, parts,
        f"{len(parts)} gaps, the longest of {longest * step / 3600:.3g} h", "left missing",
        "gaps of up to two hours are bridged by the fit; longer ones are left out of it",
    )  # fmt: skip


def _check_absent(site: Site, raw: RawTable, table: Table, findings: Findings) -> None:
    """A signal without any value: the site cannot work without its column."""
    for spec in site.signals:
        values = table.columns.get(spec.id)
        if values is not None and np.isfinite(values).any():
            continue
        close = difflib.get_close_matches(spec.id, raw.unused, n=1, cutoff=0.4)
        hint = f" (perhaps {close[0]!r})" if close else ""
        what = "has no column" if values is None else "has no usable value"
        nowhere = np.empty(0, np.int64)
        text = f"{spec.id} {what}: which column is it{hint}? Give --map COLUMN={spec.id}"
        findings.ask(f"absent:{spec.id}", table, nowhere, text, ())
        findings.defect("absent", table, nowhere, f"{spec.id} {what}{hint}", "left missing",
                        signal=spec.id, next_step="map a column, or drop the signal")  # fmt: skip


def _check_answers(findings: Findings) -> None:
    unknown = sorted(set(findings.answers) - set(findings.used_answers) - {"all"})
    if unknown:
        asked = [q.id for q in findings.questions]
        raise InputError(
            f"nobody asked {unknown[0]!r}",
            f"open questions: {', '.join(asked) or 'none'}; answer them with --decide ID=ANSWER",
        )
