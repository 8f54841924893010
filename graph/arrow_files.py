"""Parquet and CSV through pyarrow: columns in and out, with errors that name row and column."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import SitePackError

Array = NDArray[np.float64]
MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_CELLS = 200_000_000  # 1.6 GB in memory; a year of minutes of 300 signals is 158 million


def read_parquet(
    path: Path, columns: Sequence[str] | None, name: str
) -> tuple[Array, dict[str, Array]]:
    """Seconds since the epoch (rows,) and the columns asked for, each (rows,) float64."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_size(path, name)
    try:
        with pq.ParquetFile(path) as file:
            wanted = _wanted(file.schema_arrow.names, columns, name)
            rows = file.metadata.num_rows
            if rows * (len(wanted) + 1) > MAX_CELLS:
                raise SitePackError(f"{rows} rows", f"expected at most {MAX_CELLS} cells", name)
            kind = file.schema_arrow.field("time").type
            if not pa.types.is_timestamp(kind) or kind.tz is None:
                raise SitePackError(
                    f"times without zone (type {kind})", "expected timestamp[us, tz=UTC]",
                    name, 0, "time",
                )  # fmt: skip
            table = file.read(columns=["time", *wanted])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SitePackError(f"not a Parquet file: {error}", "write it again", name) from error
    return _time_seconds(table.column("time"), name), {
        c: _floats(table.column(c), c, name) for c in wanted
    }


def _check_size(path: Path, name: str) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise SitePackError(f"cannot be read: {error.strerror}", "expected a file", name) from error
    if size > MAX_FILE_BYTES:
        raise SitePackError(f"{size} bytes", f"expected at most {MAX_FILE_BYTES}", name)


def _wanted(present: Sequence[str], columns: Sequence[str] | None, name: str) -> list[str]:
    twice = {c for c in present if list(present).count(c) > 1}
    if twice:
        raise SitePackError("the column is here twice", "keep one", name, 1, min(twice))
    wanted = [c for c in present if c != "time"] if columns is None else list(columns)
    for column in ("time", *wanted):
        if column not in present:
            raise SitePackError(
                "the column is missing", f"the file has: {', '.join(present)}", name, 1, column
            )
    return wanted


def _time_seconds(column: Any, name: str) -> Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.null_count:
        row = int(np.argmax(pc.is_null(column).to_numpy(zero_copy_only=False)))
        raise SitePackError("the time is missing", "a time in each row", name, row + 1, "time")
    micros = column.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(pa.int64())
    return np.asarray(micros.to_numpy(), dtype=np.float64) / 1e6


def _floats(column: Any, label: str, name: str) -> Array:
    import pyarrow as pa

    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise SitePackError(f"holds {kind}", "expected numbers", name, 0, label)
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def read_csv(
    path: Path, columns: Sequence[str] | None, name: str
) -> tuple[Array, dict[str, Array]]:
    """As `read_parquet`, from CSV with a header; times as ISO 8601 with an offset."""
    import pyarrow as pa
    from pyarrow import csv

    _check_size(path, name)
    try:
        # As text first: a typed reader would name a bad cell's column only, never its line.
        with path.open("rb") as stream:
            header = stream.readline().decode("utf-8-sig").strip()
        names = [n.strip().strip('"') for n in header.split(",")] if header else []
        convert = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        wanted = _wanted(names, columns, name)
        table = csv.read_csv(path, convert_options=convert)
        table = table.rename_columns(names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SitePackError(f"not a CSV file: {error}", "comma-separated, UTF-8", name) from error
    times = [_parse_time(t, k, name) for k, t in enumerate(table.column("time").to_pylist())]
    return np.array(times, dtype=np.float64), {
        c: _parse_cells(table.column(c).to_pylist(), c, name) for c in wanted
    }


def _parse_time(text: str | None, row: int, name: str) -> float:
    try:
        parsed = datetime.fromisoformat((text or "").strip())
    except ValueError as error:
        raise SitePackError(
            f"{text!r} is not a time", "expected e.g. 2026-01-20T18:00:00-08:00",
            name, row + 2, "time",
        ) from error  # fmt: skip
    if parsed.tzinfo is None:
        raise SitePackError(
            f"the time {text} has no zone", "expected an offset: 2026-01-20T18:00:00-08:00 or Z",
            name, row + 2, "time",
        )  # fmt: skip
    return parsed.timestamp()


def _parse_cells(cells: Sequence[str | None], column: str, name: str) -> Array:
    values = np.empty(len(cells), dtype=np.float64)
    for row, cell in enumerate(cells):
        try:
            values[row] = float(cell) if cell and cell.strip() else np.nan
        except ValueError as error:
            raise SitePackError(
                f"{cell!r} is not a number", "decimal point, no unit", name, row + 2, column
            ) from error
    return values


def write_parquet(path: Path, seconds: Array, columns: Mapping[str, Array]) -> None:
    """Write `time` (UTC) and the columns; the bytes depend on nothing but the values."""
    table = to_table(seconds, columns)
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd")


def to_table(seconds: Array, columns: Mapping[str, Array]) -> Any:
    """A pyarrow table with `time` and the columns; NaN becomes null."""
    import pyarrow as pa

    micros = np.round(np.asarray(seconds) * 1e6).astype(np.int64)
    data: dict[str, Any] = {"time": pa.array(micros).cast(pa.timestamp("us", tz="UTC"))}
    for name, values in columns.items():
        data[name] = pa.array(values, type=pa.float64(), from_pandas=True)
    return pa.table(data)
