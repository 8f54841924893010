"""Foreign files: what is a number is read, what is none is named by line, nothing is evaluated."""

import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.cli import main
from graph.errors import SitePackError
from graph.raw_telemetry import RawTable, parse_stamp, read_raw
from graph.sitepack import load_site
from graph.telemetry import read_frame

FOLDER = Path(__file__).resolve().parent.parent / "scenarios" / "microgrid"
T0 = datetime(2026, 1, 20, 8, tzinfo=UTC).timestamp()


def written(folder: Path, text: str | bytes, name: str = "x.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(*cells: str, head: str = "time,a.b") -> str:
    stamps = (f"2026-01-20T{8 + k // 4:02d}:{15 * (k % 4):02d}:00Z" for k in range(len(cells)))
    return "\n".join([head, *(f"{t},{c}" for t, c in zip(stamps, cells, strict=True))]) + "\n"


def read(path: Path, **given: Any) -> RawTable:
    return read_raw(path, ["a.b", "c.d"], **given)


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "=cmd|' /C calc'!A0", "+SUM(A1:A9)", "@now", "1_000", "0x10", "1e9999", "∞", "٣",
     "21.5 °C", "true", "1;2", "\0", "21\x005", "__import__('os')", "1" * 5000],
)  # fmt: skip
def test_what_is_no_number_is_missing_and_named_by_its_line(tmp_path: Path, cell: str) -> None:
    raw = read(written(tmp_path, rows("1.5", cell, "2.5")))
    assert raw.columns["a.b"].tolist()[::2] == [1.5, 2.5]
    assert np.isnan(raw.columns["a.b"][1])
    (bad,) = raw.unreadable
    assert (bad.line, bad.signal) == (3, "a.b")
    assert bad.text.isprintable()
    assert len(bad.text) <= 60


@pytest.mark.parametrize("cell", ["", " ", "NaN", "null", "N/A", "-", "#N/A"])
def test_what_loggers_write_for_nothing_is_missing_without_complaint(
    tmp_path: Path, cell: str
) -> None:
    raw = read(written(tmp_path, rows("1.5", cell, "2.5")))
    assert np.isnan(raw.columns["a.b"][1])
    assert raw.unreadable == ()


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=20))
def test_every_bit_of_a_number_survives_both_kinds_of_file(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("raw")
    raw = read(written(folder, rows(*(repr(v) for v in values))))
    assert raw.columns["a.b"].tobytes() == np.array(values).tobytes()
    assert raw.seconds.tolist() == [T0 + 900 * k for k in range(len(values))]
    assert raw.lines.tolist() == list(range(2, len(values) + 2))
    stamps = pa.array((raw.seconds * 1e6).astype("i8")).cast(pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table({"time": stamps, "a.b": values}), folder / "x.parquet")
    again = read(folder / "x.parquet")
    assert again.columns["a.b"].tobytes() == np.array(values).tobytes()
    assert (again.seconds.tolist(), again.has_zone) == (raw.seconds.tolist(), True)


@pytest.mark.parametrize(
    ("text", "seconds", "zoned"),
    [
        ("2026-01-20T08:00:00Z", T0, True), ("2026-01-20 00:00:00-08:00", T0, True),
        ("2026-01-20 08:00", T0, False), ("20260120T080000", T0, False),
        (str(int(T0)), T0, True), (str(int(T0 * 1000)), T0, True),
        (str(int(T0) * 10**9), T0, True),
    ],
)  # fmt: skip
def test_a_time_is_known_by_its_form(text: str, seconds: float, zoned: bool) -> None:
    assert parse_stamp(text) == (seconds, zoned)


@pytest.mark.parametrize(
    "text", ["20.01.2026 08:00", "01/02/2026 08:00", "2026-01-20", "", "8:00", "9999-01-01T00:00",
             "0001-01-01T00:00Z", "2026-13-01T00:00", "2026-01-20T25:00", "1" * 300,
             "２０２６-01-20 08:00"]
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_no_time(text: str) -> None:
    assert parse_stamp(text) is None


def test_semicolons_decimal_commas_tabs_and_foreign_encodings_are_read(tmp_path: Path) -> None:
    text = "Zeit;Raum °C;c.d\n2026-01-20 08:00;21,5;1\n2026-01-20 08:15;-0,25;2\n"
    mapped = {"Zeit": "time", "Raum °C": "a.b"}
    for encoding in ("utf-8-sig", "latin-1", "utf-16"):
        raw = read(written(tmp_path, text.encode(encoding)), rename=mapped)
        assert raw.columns["a.b"].tolist() == [21.5, -0.25], encoding
        assert not raw.has_zone
    tabs = text.replace(",", ".").replace(";", "\t")
    assert read(written(tmp_path, tabs), rename=mapped).columns["c.d"].tolist() == [1, 2]
    quoted = 'time,"a.b"\n"2026-01-20T08:00Z","1.5"\n"2026-01-20T08:15Z","2,5"\n'
    raw = read(written(tmp_path, quoted))
    assert raw.columns["a.b"][0] == 1.5
    assert raw.unreadable[0].text == "2,5"  # two and a half, or twenty-five? nobody guesses


def test_a_torn_row_and_a_row_without_time_are_left_out_and_named(tmp_path: Path) -> None:
    text = rows("1", "2", "3") + "yesterday,4\n2026-01-20T09:00Z,5,6\n2026-01-20T09:1"
    raw = read(written(tmp_path, text))
    assert len(raw) == 3
    assert [(u.line, u.signal) for u in raw.unreadable] == [(5, "time"), (6, ""), (7, "")]
    assert raw.rows_read == 6


def test_columns_that_nobody_asked_for_are_named_and_not_read(tmp_path: Path) -> None:
    raw = read(written(tmp_path, rows("1,ok", "2,=HYPERLINK()", head="time,a.b,remark")))
    assert raw.unused == ("remark",)
    assert raw.unreadable == ()
    assert list(raw.columns) == ["a.b"]


ZIP = b"PK\x03\x04" + b"\0" * 100


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "x.csv", "column is missing"),
        (ZIP, "x.csv", "Excel workbook"),
        (bytes(range(256)) * 40, "x.csv", "column is missing"),
        (b"\0" * 3_000_000, "x.csv", "column is missing"),
        (b"time,a.b\n" + b"x" * 3_000_000, "x.csv", "line without end"),
        (b'time,a.b\n"' + b"never closed\n" * 1000, "x.csv", "0 of 1000 rows"),
        (b"a.b,c.d\n1,2\n", "x.csv", "--map NAME=time"),
        (b"time,a.b,a.b\n2026-01-20T08:00Z,1,2\n", "x.csv", "twice"),
        (b"time,a.b\n20.01.2026 08:00,1\n20.01.2026 08:15,2\n", "x.csv", "20.01.2026 08:00"),
        (b"time,a.b\n2026-01-20T08:00Z,1\n2026-01-20T08:15,2\n", "x.csv", "some times have a zone"),
        (b"time,a.b\n2026-01-20T08:00Z,1\n", "x.csv", "1 of 1 rows"),
        (b"PAR1" + b"\0" * 50 + b"PAR1", "x.parquet", "not a Parquet file"),
        (b"time,a.b\n", "x.parquet", "not a Parquet file"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_telemetry_is_refused_by_name(
    tmp_path: Path, content: bytes, name: str, words: str
) -> None:
    with pytest.raises(SitePackError) as caught:
        read(written(tmp_path, content, name))
    assert words in str(caught.value)
    assert name in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_column_full_of_words_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    line = "2026-01-20T08:00:00Z,warm\n"
    with pytest.raises(SitePackError, match="is this telemetry"):
        read(written(tmp_path, "time,a.b\n" + line * 21_000))


def test_foreign_parquet_types_are_read_or_named(tmp_path: Path) -> None:
    stamps = pa.array([T0, T0 + 900], pa.float64())
    naive = pa.array([int(T0 * 1e3), int(T0 * 1e3) + 900_000]).cast(pa.timestamp("ms"))
    path = tmp_path / "x.parquet"
    text = pa.array(["2026-01-20T08:00", "2026-01-20T08:15"])
    for time, zoned in ((stamps, True), (naive, False), (text, False)):
        pq.write_table(pa.table({"time": time, "a.b": ["1.5", "=2"], "c.d": [1, None]}), path)
        raw = read(path)
        assert (raw.seconds.tolist(), raw.has_zone) == ([T0, T0 + 900], zoned)
        assert raw.columns["a.b"][0] == 1.5
        assert [(u.line, u.text) for u in raw.unreadable] == [(2, "=2")]
        assert np.isnan(raw.columns["c.d"][1])
    nested = pa.table({"time": stamps, "a.b": [[1], [2]]})
    pq.write_table(nested, path)
    with pytest.raises(SitePackError, match="expected numbers"):
        read(path)
    pq.write_table(pa.table({"time": pa.array([True, False]), "a.b": [1, 2]}), path)
    with pytest.raises(SitePackError, match="expected timestamps"):
        read(path)


def test_a_parquet_file_that_unpacks_to_more_than_fits_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph.arrow_raw.MAX_CELLS", 1_000_000)
    path = tmp_path / "bomb.parquet"
    schema = pa.schema([("time", pa.int64()), ("a.b", pa.float64())])
    zeros = np.zeros(1_000_000)
    batch = pa.table({"time": zeros.astype("i8"), "a.b": zeros}, schema)
    pq.write_table(batch, path, compression="zstd")
    assert path.stat().st_size < 10_000
    with pytest.raises(SitePackError, match="expected at most"):
        read(path)


# The command -----------------------------------------------------------------------------------


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """The microgrid without telemetry, beside a CSV of six days with its columns renamed."""
    folder = tmp_path / "plant"
    shutil.copytree(FOLDER, folder)
    frame = load_site(FOLDER).telemetry().rows(0, 576)
    (folder / "data" / "telemetry.parquet").unlink()
    names = [n.replace("zone_north.temp_degc", "Room 1") for n in frame.names]
    lines = [",".join(["stamp", *names])]
    for k, t in enumerate(frame.times):
        cells = [repr(float(v[k])) for v in frame.columns.values()]
        lines.append(",".join([t.isoformat(), *cells]))
    (tmp_path / "raw.csv").write_text("\n".join(lines) + "\n")
    return folder


@dataclass(frozen=True)
class Run:
    """What a call of the command said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def pilothouse(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Run]:
    """The command in this process: its own start would take longer than its work."""

    def call(*arguments: object) -> Run:
        monkeypatch.setattr(sys, "argv", ["pilothouse", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = capsys.readouterr()
        return Run(status, said.out, said.err)

    return call


MAPPED = ("--map", "stamp=time", "--map", "Room 1=zone_north.temp_degc")


def test_a_clean_file_is_imported_bit_for_bit_and_replaced_only_when_told(
    pack: Path, pilothouse: Callable[..., Run]
) -> None:
    given = ("site", "import", pack, pack.parent / "raw.csv", *MAPPED, "--json")
    run = pilothouse(*given)
    assert run.returncode == 0, run.stderr
    document = json.loads(run.stdout)
    assert (document["ok"], document["defects"], document["rows"]) == (True, [], 576)
    target = pack / "data" / "telemetry.parquet"
    frame = load_site(FOLDER).telemetry().rows(0, 576)
    for name, values in read_frame(target).columns.items():
        assert values.tobytes() == frame.column(name).tobytes()
    again = pilothouse(*given)
    assert again.returncode == 2
    assert "--replace" in again.stderr
    assert pilothouse(*given, "--replace").returncode == 0


def test_a_doubtful_file_ends_with_one_the_exact_question_and_nothing_written(
    pack: Path, pilothouse: Callable[..., Run]
) -> None:
    raw = pack.parent / "raw.csv"
    lines = raw.read_text().splitlines()
    cells = lines[100].split(",")
    cells[2] = repr(float(cells[2]) + 1.0)
    lines.insert(101, ",".join(cells))
    lines[200] = lines[200].rpartition(",")[0] + ",=1+1"
    raw.write_text("\n".join(lines) + "\n")
    given = ("site", "import", pack, raw, *MAPPED)
    run = pilothouse(*given)
    assert run.returncode == 1, run.stderr
    assert "answer: --decide duplicates=first|last|missing" in run.stdout
    assert "lines 101-102" in run.stdout
    assert not (pack / "data" / "telemetry.parquet").exists()
    report = json.loads((pack / "data" / "telemetry.report.json").read_text())
    assert [q["id"] for q in report["questions"]] == ["duplicates"]
    run = pilothouse(*given, "--decide", "duplicates=last")
    assert run.returncode == 0, run.stderr
    changes = (pack / "data" / "telemetry.changes.jsonl").read_text().splitlines()
    said = [(c["line"], c["was"]) for c in map(json.loads, changes)]
    assert (201, "=1+1") in said
    assert any(line == 101 for line, _ in said)
    assert (pack / "data" / "telemetry.parquet").exists()


def test_wrong_use_of_the_command_is_named(pack: Path, pilothouse: Callable[..., Run]) -> None:
    raw = pack.parent / "raw.csv"
    for extra, words in ((("--map", "nobody=time"), "nobody"), (("--map", "x"), "OLD=NEW"),
                         ((*MAPPED, "--zone", "Mars/Phobos"), "Mars/Phobos"),
                         ((*MAPPED, "--decide", "duplicates=first"), "nobody asked")):  # fmt: skip
        run = pilothouse("site", "import", pack, raw, *extra)
        assert run.returncode == 2, extra
        assert words in run.stderr
    with zipfile.ZipFile(pack.parent / "raw.zip", "w") as archive:
        archive.write(raw)
    run = pilothouse("site", "import", pack, pack.parent / "raw.zip", *MAPPED)
    assert run.returncode == 2
    assert "zip archive" in run.stderr
