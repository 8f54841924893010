"""Foreign telemetry: each defect is found, named at its rows, mended or left out; the rest stays.

Good data is a recorded stretch of the microgrid; a defect is put into it and everything else must
come out as it went in, bit for bit.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import InputError
from graph.raw_telemetry import RawTable
from graph.site import Site
from graph.sitepack import load_site
from graph.telemetry import Frame
from sandbox.telemetry_quality import Cleaned, ImportOptions, clean
from sandbox.telemetry_report import Defect

PACK = load_site(Path(__file__).resolve().parent.parent / "scenarios" / "microgrid")
SITE = PACK.site
ROWS = 960  # ten days
ROOM, OUTDOOR, LOAD = "zone_north.temp_degc", "outdoor.temp_degc", "building.power_kw"
FIRST_LINE = 2
LONGITUDE_DEG = -119.72
FEW = settings(max_examples=12, deadline=None)
begins = st.integers(100, ROWS - 200)


@cache
def good(first: int = 0) -> Frame:
    return PACK.telemetry().rows(first, first + ROWS)


def raw_of(frame: Frame, keep: Any = slice(None), **changed: np.ndarray) -> RawTable:
    """The frame as a file would hold it, line numbers and all; `keep`: rows in their order."""
    seconds = np.array([t.timestamp() for t in frame.times])[keep]
    columns = {n: np.array(v)[keep] for n, v in frame.columns.items()}
    lines = np.arange(FIRST_LINE, FIRST_LINE + len(seconds))
    return RawTable("x.csv", seconds, True, lines, {**columns, **changed}, rows_read=len(seconds))


def cleaned(raw: RawTable, site: Site = SITE, **given: Any) -> Cleaned:
    return clean(site, raw, ImportOptions(**given))


def only(found: Cleaned, kind: str) -> Defect:
    assert [d.kind for d in found.report.defects] == [kind], found.report.defects
    return found.report.defects[0]


def lines_of(defect: Defect) -> set[int]:
    return {n for s in defect.spans for n in range(s.first_line, s.last_line + 1)}


def assert_same(found: Cleaned, frame: Frame, but: dict[str, np.ndarray] | None = None) -> None:
    """Every bit as in `frame`, apart from the rows `but` of some columns."""
    assert (found.frame.start, found.frame.step_s) == (frame.start, frame.step_s)
    for name, values in frame.columns.items():
        keep = np.ones(len(frame), dtype=bool)
        keep[(but or {}).get(name, [])] = False
        assert found.frame.column(name)[keep].tobytes() == values[keep].tobytes(), name


def with_values(frame: Frame, signal: str, rows: Any, values: Any) -> RawTable:
    column = np.array(frame.column(signal))
    column[rows] = values
    return raw_of(frame, **{signal: column})


@FEW
@given(first=st.integers(0, 4032 - ROWS))
def test_good_data_passes_through_without_a_word(first: int) -> None:
    found = cleaned(raw_of(good(first)))
    assert found.report.defects == ()
    assert not found.report.doubtful
    assert_same(found, good(first))
    assert found.changes == ()


@FEW
@given(begin=begins, size=st.integers(1, 60), more=st.integers(1, 30))
def test_a_gap_is_named_between_its_lines_and_left_missing(
    begin: int, size: int, more: int
) -> None:
    frame = good()
    gone = np.r_[begin : begin + size, begin + size + 40 : begin + size + 40 + more]
    found = cleaned(raw_of(frame, np.setdiff1d(np.arange(ROWS), gone)))
    defect = only(found, "gap")
    assert defect.count == size + more
    assert [s.rows for s in defect.spans] == [size, more]
    assert defect.spans[0].since == frame.times[begin]
    assert defect.spans[0].until == frame.times[begin + size - 1]
    assert defect.spans[0].first_line == begin - 1 + FIRST_LINE  # the line before the gap
    assert np.isnan(found.frame.column(ROOM)[gone]).all()
    assert_same(found, frame, dict.fromkeys(frame.names, gone))


@FEW
@given(rows=st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=20, unique=True))
def test_rows_that_are_there_twice_become_one(rows: list[int]) -> None:
    keep = np.sort(np.concatenate([np.arange(ROWS), rows]))
    found = cleaned(raw_of(good(), keep))
    defect = only(found, "duplicate")
    twice = np.flatnonzero(np.isin(keep, rows))
    assert lines_of(defect) == set((twice + FIRST_LINE).tolist())
    assert not found.report.doubtful
    assert_same(found, good())


@FEW
@given(rows=st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=9, unique=True))
def test_rows_of_one_stamp_that_disagree_are_a_question(rows: list[int]) -> None:
    keep = np.sort(np.concatenate([np.arange(ROWS), rows]))
    second = np.flatnonzero(np.concatenate([[False], np.diff(keep) == 0]))
    column = np.array(good().column(LOAD))[keep]
    column[second] += 1.0
    raw = raw_of(good(), keep, **{LOAD: column})
    found = cleaned(raw)
    conflict = only(found, "conflict")
    assert lines_of(conflict) == {n + FIRST_LINE for s in second for n in (s - 1, s)}
    assert [q.id for q in found.report.questions] == ["duplicates"]
    assert np.isnan(found.frame.column(LOAD)[rows]).all()
    assert_same(found, good(), {LOAD: np.array(rows)})
    lost = {(int(n), float(v)) for c in found.changes for n, v in zip(c.lines, c.was, strict=True)}
    assert lost == {(n + FIRST_LINE, column[n]) for s in second for n in (s - 1, s)}
    assert_same(cleaned(raw, answers={"duplicates": "first"}), good())
    last = cleaned(raw, answers={"duplicates": "last"})
    assert not last.report.doubtful
    assert last.frame.column(LOAD)[rows].tolist() == column[np.sort(second)][
        np.argsort(np.argsort(rows))
    ].tolist()  # fmt: skip


@FEW
@given(seed=st.integers(0, 10_000), moved=st.integers(1, 300))
def test_rows_out_of_order_are_sorted_and_named(seed: int, moved: int) -> None:
    generator = np.random.default_rng(seed)
    keep = np.arange(ROWS)
    some = generator.choice(ROWS, size=moved + 1, replace=False)
    keep[np.sort(some)] = some
    late = np.flatnonzero(keep < np.maximum.accumulate(keep))
    found = cleaned(raw_of(good(), keep))
    assert_same(found, good())
    if len(late):
        places = np.array(sorted(lines_of(only(found, "out_of_order")))) - FIRST_LINE
        assert places.tolist() == late.tolist()


# Wall clocks ---------------------------------------------------------------------------------


def walls(start: str, rows: int = ROWS, step_s: int = 900) -> tuple[Frame, RawTable]:
    """Good data at another time of the year, with stamps as a clock on the wall shows them."""
    frame = Frame(datetime.fromisoformat(start), 900, good().columns).rows(0, rows)
    if step_s != 900:
        frame = Frame(frame.start, step_s, frame.columns)
    zone = ZoneInfo(SITE.time_zone)
    shown = [t.astimezone(zone).replace(tzinfo=UTC).timestamp() for t in frame.times]
    return frame, replace(raw_of(frame), seconds=np.array(shown), has_zone=False)


def test_the_hour_that_comes_twice_is_told_apart_by_its_order() -> None:
    frame, raw = walls("2025-10-30T08:15:00+00:00")
    found = cleaned(raw)
    defect = only(found, "repeated_hour")
    assert defect.count == 8
    assert defect.spans[0].since == datetime(2025, 11, 2, 8, tzinfo=UTC)  # 01:00 PDT
    assert_same(found, frame)
    assert found.report.zone == "America/Los_Angeles"
    aware = cleaned(raw_of(frame))
    assert aware.report.defects == ()
    assert_same(aware, frame)


def test_the_hour_that_is_missing_in_spring_is_no_gap() -> None:
    frame, raw = walls("2026-03-05T08:15:00+00:00")
    found = cleaned(raw)
    assert found.report.defects == ()
    assert_same(found, frame)


def test_a_logger_that_ignores_the_clock_change_is_asked_about() -> None:
    fixed = timedelta(hours=-8)
    for start, kind in (("2025-10-30T09:15:00+00:00", "repeated_hour"),
                        ("2026-03-05T08:15:00+00:00", "skipped_hour")):  # fmt: skip
        frame = Frame(datetime.fromisoformat(start), 900, good().columns)
        shown = np.array([(t + fixed).timestamp() for t in frame.times])
        raw = replace(raw_of(frame), seconds=shown, has_zone=False)
        found = cleaned(raw)
        assert kind in [d.kind for d in found.report.defects]
        assert next(q.id for q in found.report.questions).startswith("hour:")
        assert "--zone" in found.report.questions[0].text
        right = cleaned(raw, zone="-08:00")
        assert right.report.defects == ()
        assert_same(right, frame)


def test_a_doubled_hour_in_disorder_is_refused_by_name_until_somebody_decides() -> None:
    frame, raw = walls("2025-10-30T08:15:00+00:00")
    order = np.argsort(raw.seconds, kind="stable")  # as a sorted export shows it
    mixed = replace(
        raw, seconds=raw.seconds[order], columns={n: v[order] for n, v in raw.columns.items()}
    )
    found = cleaned(mixed)
    assert [q.id for q in found.report.questions] == ["hour:2025-11-02"]
    since = datetime(2025, 11, 2, 8, tzinfo=UTC)
    hour = [k for k, t in enumerate(frame.times) if since <= t < since + timedelta(hours=2)]
    assert np.isnan(found.frame.column(ROOM)[hour]).all()
    assert_same(found, frame, dict.fromkeys(frame.names, np.array(hour)))
    told = cleaned(mixed, answers={"hour:2025-11-02": "paired"})
    assert not told.report.doubtful
    assert_same(told, frame)


def test_a_half_of_the_doubled_hour_goes_where_the_person_says() -> None:
    frame, raw = walls("2025-10-30T08:15:00+00:00")
    first = next(k for k, t in enumerate(frame.times) if t.hour == 9 and t.day == 2)
    keep = np.delete(np.arange(ROWS), np.arange(first, first + 4))
    once = replace(
        raw, seconds=raw.seconds[keep], lines=raw.lines[keep],
        columns={n: v[keep] for n, v in raw.columns.items()},
    )  # fmt: skip
    for answer, rows in (("first", np.arange(first, first + 4)),
                         ("second", np.arange(first - 4, first))):  # fmt: skip
        found = cleaned(once, answers={"hour:2025-11-02": answer})
        assert np.isnan(found.frame.column(ROOM)[rows]).all()
    assert_same(cleaned(once, answers={"hour:2025-11-02": "first"}), frame,
                dict.fromkeys(frame.names, np.arange(first, first + 4)))  # fmt: skip


# Clocks that were wrong --------------------------------------------------------------------------


@FEW
@given(begin=begins, size=st.integers(8, 90), ahead=st.sampled_from([420, -300, 3600, -1800, 7200]))
def test_a_clock_that_was_wrong_for_a_while_is_found_and_moved_back_when_told(
    begin: int, size: int, ahead: int
) -> None:
    raw = raw_of(good())
    raw.seconds[begin : begin + size] += ahead
    found = cleaned(raw)
    shift = next(d for d in found.report.defects if d.kind == "clock_shift")
    assert lines_of(shift) == set(range(begin + FIRST_LINE, begin + size + FIRST_LINE))
    (question,) = found.report.questions
    assert np.isnan(found.frame.column(ROOM)[begin : begin + size]).all()
    assert_same(found, good(), dict.fromkeys(good().names, np.arange(begin, begin + size)))
    assert_same(cleaned(raw, answers={question.id: "move"}), good())


def sunny(longitude_deg: float | None = LONGITUDE_DEG) -> Site:
    assets = [
        a.model_copy(update={"latitude_deg": 36.78, "longitude_deg": longitude_deg})
        if a.kind == "weather" else a
        for a in SITE.assets
    ]  # fmt: skip
    return SITE.model_copy(update={"assets": tuple(assets)})


@cache
def long() -> Frame:
    return PACK.telemetry()


@pytest.mark.parametrize("longitude_deg", [LONGITUDE_DEG, None])
def test_a_clock_that_is_set_forward_for_good_is_seen_by_the_sun(longitude_deg: Any) -> None:
    raw = raw_of(long())
    assert cleaned(raw, sunny(longitude_deg)).report.defects == ()
    half = 2880  # the second third, which is the smaller part
    raw.seconds[half:] += 3600
    found = cleaned(raw, sunny(longitude_deg))
    shift = next(d for d in found.report.defects if d.kind == "clock_shift")
    assert "3600 s ahead" in shift.text
    assert abs(shift.spans[0].first_line - FIRST_LINE - half) <= 96
    assert shift.spans[-1].last_line == len(long()) - 1 + FIRST_LINE
    assert any(q.id.startswith("clock:sun-") for q in found.report.questions)


def test_a_file_in_the_wrong_zone_is_seen_by_the_sun_and_moved_when_told() -> None:
    raw = raw_of(long())
    raw.seconds[:] -= 8 * 3600
    found = cleaned(raw, sunny())
    assert [q.id for q in found.report.questions] == ["clock:all"]
    assert "28800 s earlier" in found.report.questions[0].text
    assert_same(cleaned(raw, sunny(), answers={"clock:all": "move"}), long())
    assert cleaned(raw, sunny(None)).report.questions == ()  # nobody said where the site is


def test_stamps_of_a_clock_that_was_reset_are_set_aside() -> None:
    raw = raw_of(good())
    raw.seconds[300:304] -= raw.seconds[300]
    found = cleaned(raw)
    assert [d.kind for d in found.report.defects] == ["stray_stamp", "gap"]
    assert lines_of(found.report.defects[0]) == {302, 303, 304, 305}
    assert_same(found, good(), dict.fromkeys(good().names, np.arange(300, 304)))


def test_stamps_a_little_off_the_grid_are_put_on_it() -> None:
    raw = raw_of(good())
    raw.seconds[40:60] += np.linspace(-60, 60, 20)
    found = cleaned(raw)
    assert lines_of(only(found, "jitter")) == set(range(42, 62))
    assert_same(found, good())


# Values --------------------------------------------------------------------------------------


FOREIGN: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    ROOM: ("degF", lambda x: x * 1.8 + 32.0),
    OUTDOOR: ("degF", lambda x: x * 1.8 + 32.0),
    "tank.temp_degc": ("K", lambda x: x + 273.15),
    LOAD: ("W", lambda x: x * 1000.0),
    "grid.power_kw": ("W", lambda x: x * 1000.0),
}
# The grid's power is nearly nothing for hours, and a few watts may be kilowatts as well.
STEADY = sorted(set(FOREIGN) - {"grid.power_kw"})


@FEW
@given(signal=st.sampled_from(STEADY), begin=begins, size=st.integers(12, 200))
def test_a_stretch_in_another_unit_is_converted_and_named(
    signal: str, begin: int, size: int
) -> None:
    unit, foreign = FOREIGN[signal]
    rows = slice(begin, begin + size)
    true = good().column(signal)[rows]
    found = cleaned(with_values(good(), signal, rows, foreign(true)))
    defect = only(found, "unit")
    assert (defect.signal, unit in defect.text) == (signal, True)
    # A power that is nearly nothing is so in W and in kW: the edge may be off by such samples.
    near = range(begin - 4, min(ROWS, begin + size + 4))
    edge = {n for n in near if abs(good().column(signal)[n]) < 0.15}
    wrong = lines_of(defect) ^ set(range(begin + FIRST_LINE, begin + size + FIRST_LINE))
    assert {n - FIRST_LINE for n in wrong} <= edge
    np.testing.assert_allclose(found.frame.column(signal)[rows], true, rtol=1e-12, atol=0.16)
    assert_same(found, good(), {signal: np.array(near)})


@pytest.mark.parametrize("signal", sorted(FOREIGN))
def test_a_whole_column_in_another_unit_is_converted(signal: str) -> None:
    _, foreign = FOREIGN[signal]
    if signal == OUTDOOR:
        return  # 14 to 76 could be degC as well; only its edges would give it away
    raw = with_values(good(), signal, slice(None), foreign(good().column(signal)))
    found = cleaned(raw)
    defect = only(found, "unit")
    assert defect.count == ROWS
    np.testing.assert_allclose(found.frame.column(signal), good().column(signal), rtol=1e-12)
    assert found.changes[0].was.tobytes() == raw.columns[signal].tobytes()  # nothing is lost


@FEW
@given(begin=begins, size=st.integers(34, 90), signal=st.sampled_from([ROOM, OUTDOOR]))
def test_a_stuck_sensor_is_left_out_but_for_its_first_value(
    begin: int, size: int, signal: str
) -> None:
    value = good().column(signal)[begin]
    found = cleaned(with_values(good(), signal, slice(begin, begin + size), value))
    defect = only(found, "stuck")
    rows = np.array(sorted(lines_of(defect))) - FIRST_LINE
    # Neighbours that happened to show the same value belong to the run.
    assert set(range(begin + 1, begin + size)) <= set(rows.tolist())
    others = np.setdiff1d(rows, np.arange(begin, begin + size))
    assert (good().column(signal)[others] == value).all()
    assert np.isnan(found.frame.column(signal)[rows]).all()
    assert_same(found, good(), {signal: rows})


@FEW
@given(
    places=st.lists(st.integers(5, ROWS // 12 - 5), min_size=1, max_size=6, unique=True),
    width=st.integers(1, 3),
    size=st.sampled_from([-9.0, 8.0, 12.0]),
    signal=st.sampled_from([ROOM, OUTDOOR]),
)
def test_spikes_are_left_out_and_nothing_else(
    places: list[int], width: int, size: float, signal: str
) -> None:
    rows = np.concatenate([12 * np.array(sorted(places)) + k for k in range(width)])
    raw = with_values(good(), signal, rows, good().column(signal)[rows] + size)
    found = cleaned(raw)
    assert lines_of(only(found, "spike")) == set((rows + FIRST_LINE).tolist())
    assert np.isnan(found.frame.column(signal)[rows]).all()
    assert_same(found, good(), {signal: rows})


@FEW
@given(
    rows=st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=30, unique=True),
    value=st.sampled_from([-999.0, 1e308, np.inf, -np.inf, 9999.0]),
    signal=st.sampled_from([ROOM, LOAD, "battery.soc_pct", "zone_south.setpoint_degc"]),
)
def test_impossible_values_are_left_out_and_kept_in_the_list_of_changes(
    rows: list[int], value: float, signal: str
) -> None:
    found = cleaned(with_values(good(), signal, rows, value))
    defect = only(found, "out_of_range")
    assert lines_of(defect) == {r + FIRST_LINE for r in rows}
    assert_same(found, good(), {signal: np.array(rows)})
    assert np.isnan(found.frame.column(signal)[rows]).all()
    assert [set(c.was.tolist()) for c in found.changes] == [{value}]


def test_a_range_that_many_values_leave_is_a_question_about_the_range() -> None:
    raw = with_values(good(), ROOM, slice(100, 300), 46.0 + np.arange(200) % 7)
    found = cleaned(raw)
    assert [q.id for q in found.report.questions] == [f"range:{ROOM}"]
    kept = cleaned(raw, answers={f"range:{ROOM}": "keep"})
    assert kept.frame.column(ROOM)[100] == 46.0
    assert not kept.report.doubtful


def test_powers_may_jump_and_setpoints_may_stand_still() -> None:
    raw = with_values(good(), "battery.power_kw", slice(200, 206), [0, 25, -25, 0, 25, 0])
    raw.columns["zone_north.setpoint_degc"][:] = 21.0
    raw.columns["battery.soc_pct"][300:700] = 95.0  # full for days
    assert cleaned(raw).report.defects == ()


# The step and the columns -------------------------------------------------------------------------


def test_minutes_become_means_of_flows_and_last_values_of_stocks() -> None:
    minutes = 15 * 96
    frame = Frame(
        datetime(2026, 1, 5, 0, 1, tzinfo=UTC), 60,
        {n: np.repeat(v[:96], 15) for n, v in good().columns.items()},
    )  # fmt: skip
    columns = {n: np.array(v) for n, v in frame.columns.items()}
    columns[LOAD] = columns[LOAD] + np.tile(np.linspace(-0.7, 0.7, 15), 96)
    columns[ROOM] = columns[ROOM] + np.tile(np.linspace(-0.14, 0.0, 15), 96)
    columns[OUTDOOR][30:40] = np.nan  # ten minutes of a quarter hour
    found = cleaned(raw_of(Frame(frame.start, 60, columns)))
    assert len(found.frame) == minutes // 15
    assert found.frame.start == datetime(2026, 1, 5, 0, 15, tzinfo=UTC)
    np.testing.assert_allclose(found.frame.column(LOAD), good().column(LOAD)[:96], atol=1e-9)
    np.testing.assert_array_equal(found.frame.column(ROOM), good().column(ROOM)[:96])
    assert np.isnan(found.frame.column(OUTDOOR)[2])
    np.testing.assert_allclose(found.frame.column(OUTDOOR)[3:], good().column(OUTDOOR)[3:96])
    later = cleaned(raw_of(Frame(frame.start - timedelta(minutes=1), 60, columns)), begins=True)
    assert_same(later, found.frame)


def test_a_file_that_is_coarser_than_the_site_is_refused() -> None:
    hourly = Frame(good().start, 3600, {n: v[::4] for n, v in good().columns.items()})
    with pytest.raises(InputError, match="a row each 3600 s"):
        cleaned(raw_of(hourly))


def test_a_signal_without_a_column_is_a_question_that_names_the_likely_one() -> None:
    raw = raw_of(good())
    columns = {n: v for n, v in raw.columns.items() if n != ROOM}
    found = cleaned(replace(raw, columns=columns, unused=("zone north temp", "note")))
    (question,) = found.report.questions
    assert question.id == f"absent:{ROOM}"
    assert "'zone north temp'" in question.text
    assert np.isnan(found.frame.column(ROOM)).all()
    assert_same(found, good(), {ROOM: np.arange(ROWS)})
    with pytest.raises(InputError, match="no column is a signal"):
        cleaned(replace(raw, columns={}, unused=("a", "b")))


def test_an_answer_to_nothing_and_an_answer_that_is_no_choice_are_refused() -> None:
    with pytest.raises(InputError, match="nobody asked 'duplicates'"):
        cleaned(raw_of(good()), answers={"duplicates": "first"})
    twice = raw_of(good(), np.r_[0, 0:ROWS])
    twice.columns[LOAD][0] += 1.0
    with pytest.raises(InputError, match="'newest' is no answer"):
        cleaned(twice, answers={"duplicates": "newest"})


@pytest.mark.parametrize("block", [slice(0, 4704), slice(-4032, None)])
def test_rooms_that_a_good_thermostat_holds_at_their_setpoint_are_not_stuck(block: slice) -> None:
    pack = load_site(Path(__file__).resolve().parent.parent / "scenarios" / "office_small")
    frame = pack.telemetry()
    frame = frame.rows(*block.indices(len(frame))[:2])
    found = cleaned(raw_of(frame), pack.site)
    assert found.report.defects == ()
    assert_same(found, frame)
    # The same room frozen at its setpoint while nothing heats it is another matter.
    held = {"zone_north.temp_degc": 23.89, "zone_north.heat_kw": 0.0}
    columns = {n: np.array(frame.column(n)) for n in held}
    for name, value in held.items():
        columns[name][1000:1300] = value
    (stuck,) = cleaned(raw_of(frame, **columns), pack.site).report.defects
    assert (stuck.kind, stuck.signal) == ("stuck", "zone_north.temp_degc")
