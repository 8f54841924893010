"""Frames keep their grid; files give back what was written and name what is wrong."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.errors import InputError, SitePackError
from graph.telemetry import Frame, query, read_frame, write_frame

T0 = datetime(2026, 1, 20, 8, 15, tzinfo=UTC)


def frame(rows: int = 8, start: datetime = T0) -> Frame:
    """Two columns, one with a missing sample."""
    a = np.arange(rows, dtype=float)
    b = a * 0.1
    b[1:2] = np.nan
    return Frame(start, 900, {"x.power_kw": a, "x.temp_degc": b})


def test_labels_are_the_ends_of_the_intervals() -> None:
    f = frame()
    assert f.times[0] == T0
    assert f.end == f.times[-1] == T0 + timedelta(minutes=105)
    window = f.window(T0, T0 + timedelta(minutes=30))
    assert window.times == (T0 + timedelta(minutes=15), T0 + timedelta(minutes=30))
    assert window.column("x.power_kw").tolist() == [1.0, 2.0]


@given(rows=st.integers(0, 30), cut=st.integers(-900 * 3, 900 * 33))
def test_a_frame_cut_anywhere_and_joined_is_the_frame(rows: int, cut: int) -> None:
    f, at = frame(rows), T0 + timedelta(seconds=cut)
    before = f.window(T0 - timedelta(days=1), at)
    after = f.window(at, T0 + timedelta(days=1))
    assert all(t <= at for t in before.times)
    assert all(t > at for t in after.times)
    joined = before.append(after)
    assert joined.times == f.times
    np.testing.assert_array_equal(joined.column("x.temp_degc"), f.column("x.temp_degc"))


def test_columns_cannot_be_changed_behind_a_frames_back() -> None:
    source = np.ones(3)
    f = Frame(T0, 900, {"a": source})
    source[0] = 5.0
    assert f.column("a")[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        f.column("a")[0] = 2.0


def test_a_frame_refuses_what_does_not_fit() -> None:
    f = frame()
    with pytest.raises(InputError, match="does not continue"):
        f.append(f)
    with pytest.raises(InputError, match="columns differ"):
        f.append(Frame(f.end + timedelta(minutes=15), 900, {"a": np.ones(1)}))
    with pytest.raises(InputError, match="no column 'y'"):
        f.column("y")
    with pytest.raises(InputError, match="differ in length"):
        Frame(T0, 900, {"a": np.ones(2), "b": np.ones(3)})
    with pytest.raises(InputError, match="no zone"):
        Frame(datetime(2026, 1, 1), 900, {})  # noqa: DTZ001
    assert len(f.tail(3)) == 3
    assert len(f.tail(99)) == 8


@settings(max_examples=20, deadline=None)
@given(
    values=st.lists(st.floats(allow_infinity=False, width=64), min_size=2, max_size=20),
    start=st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001
    step_s=st.sampled_from([60, 300, 900, 3600]),
)
def test_parquet_gives_back_every_bit(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], start: datetime, step_s: int
) -> None:
    path = tmp_path_factory.mktemp("p") / "x.parquet"
    f = Frame(start.replace(tzinfo=UTC, microsecond=0), step_s, {"a.b": np.array(values)})
    write_frame(path, f)
    first = path.read_bytes()
    again = read_frame(path)
    assert (again.start, again.step_s) == (f.start, f.step_s)
    np.testing.assert_array_equal(again.column("a.b"), f.column("a.b"))
    write_frame(path, again)
    assert path.read_bytes() == first


def test_reading_takes_the_columns_that_are_asked_for(tmp_path: Path) -> None:
    write_frame(tmp_path / "x.parquet", frame())
    assert read_frame(tmp_path / "x.parquet", ["x.temp_degc"]).names == ("x.temp_degc",)
    with pytest.raises(SitePackError) as caught:
        read_frame(tmp_path / "x.parquet", ["x.temp"])
    assert caught.value.field == "x.temp"
    assert "x.temp_degc" in caught.value.hint


def spoilt(path: Path, column: str, values: pa.Array) -> SitePackError:
    """The error from a Parquet file one of whose columns is replaced."""
    write_frame(path, frame())
    table = pq.read_table(path)
    table = table.set_column(table.column_names.index(column), column, values)
    pq.write_table(table, path)
    with pytest.raises(SitePackError) as caught:
        read_frame(path, missing_allowed=False, name="t.parquet")
    return caught.value


def stamps(*minutes: int | None, zone: str | None = "UTC") -> pa.Array:
    """Timestamps at T0 plus minutes."""
    micros = [None if m is None else int(T0.timestamp() * 1e6) + m * 60_000_000 for m in minutes]
    return pa.array(micros, type=pa.timestamp("us", tz=zone))


@pytest.mark.parametrize(
    ("column", "values", "line", "words"),
    [
        ("time", stamps(0, 15, 30, 45, 60, 75, 90, 105, zone=None), 0, "without zone"),
        ("time", stamps(0, 15, 30, 30, 60, 75, 90, 105), 4, "twice"),
        ("time", stamps(0, 15, 30, 45, 60, 75, 70, 105), 7, "backwards"),
        ("time", stamps(0, 15, 30, 45, 60, 75, 90, 110), 8, "step changes"),
        ("time", stamps(0, 15, None, 45, 60, 75, 90, 105), 3, "missing"),
        ("time", pa.array(["now"] * 8), 0, "without zone"),
        ("x.temp_degc", pa.array([1.0] * 5 + [float("inf")] + [1.0] * 2), 6, "infinity"),
        ("x.temp_degc", pa.array([1.0] * 6 + [None, 1.0]), 7, "NaN"),
        ("x.temp_degc", pa.array(["a"] * 8), 0, "expected numbers"),
    ],
)
def test_a_wrong_parquet_file_is_named_by_row_and_column(
    tmp_path: Path, column: str, values: pa.Array, line: int, words: str
) -> None:
    error = spoilt(tmp_path / "t.parquet", column, values)
    assert (error.file, error.line, error.field) == ("t.parquet", line, column)
    assert words in str(error)


def test_garbage_is_not_parquet(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(SitePackError, match="not a Parquet file"):
        read_frame(tmp_path / "x.parquet")
    with pytest.raises(SitePackError, match="unknown kind"):
        read_frame(tmp_path / "x.xlsx")


def test_sql_answers_over_frames_and_reaches_no_file(tmp_path: Path) -> None:
    sql = 'SELECT max("x.power_kw") AS top, count("x.temp_degc") AS n, min(time) AS first FROM t'
    assert query(sql, {"t": frame()}) == [{"top": 7.0, "n": 7, "first": T0}]
    write_frame(tmp_path / "x.parquet", frame())
    for wrong in (f"SELECT * FROM '{tmp_path}/x.parquet'", "SELEC 1", "SET threads = 4"):
        with pytest.raises(InputError, match="query failed"):
            query(wrong, {"t": frame()})
