"""Foreign Parquet through pyarrow, column by column, for `graph.raw_telemetry`."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import SitePackError
from graph.raw_telemetry import (
    EMPTY,
    LATEST_S,
    MAX_CELLS,
    MAX_UNREADABLE,
    NUMBER,
    SHOWN_CHARS,
    RawTable,
    Unreadable,
    check_rows,
    epoch_seconds,
    header_names,
    parse_stamp,
    shown,
)

Array = NDArray[np.float64]
MAX_RAW_BYTES = 4 * 1024**3  # of all columns unpacked, as the file declares it


def read_raw_parquet(path: Path, wanted: Collection[str], rename: dict[str, str]) -> RawTable:
    """A Parquet file as a raw table; rows count from 1. Raises SitePackError as `read_raw`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = path.name
    try:
        with pq.ParquetFile(path) as file:
            found = list(file.schema_arrow.names)
            names = header_names(found, rename, name)
            meta = file.metadata
            unpacked = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
            if meta.num_rows * len(names) > MAX_CELLS or unpacked > MAX_RAW_BYTES:
                raise SitePackError(
                    f"{meta.num_rows} rows of {len(names)} columns, {unpacked} bytes unpacked",
                    f"expected at most {MAX_CELLS} cells; split it by time", name,
                )  # fmt: skip
            used = [n for n in names if n == "time" or n in wanted]
            table = file.read(columns=[found[names.index(n)] for n in used])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SitePackError(
            f"not a Parquet file: {shown(error)}", "write it again", name
        ) from error
    unreadable: list[Unreadable] = []
    series = dict(zip(used, table.columns, strict=True))
    seconds, has_zone = _stamps(series.pop("time"), name, unreadable)
    columns = {c: _numbers(values, c, name, unreadable) for c, values in series.items()}
    usable = np.isfinite(seconds)
    check_rows(name, int(usable.sum()), len(seconds), unreadable)
    lines = np.arange(1, len(seconds) + 1, dtype=np.int64)[usable]
    kept = {c: v[usable] for c, v in columns.items()}
    unused = tuple(n for n in names if n not in used)
    return RawTable(
        name, seconds[usable], has_zone, lines, kept, tuple(unreadable), unused, len(seconds)
    )


def _stamps(column: Any, name: str, unreadable: list[Unreadable]) -> tuple[Array, bool]:
    """Seconds, NaN where a stamp is missing or no time; and whether they have a zone."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind):
        micros = column.cast(pa.timestamp("us", tz=kind.tz), safe=False).cast(pa.int64())
        seconds, zoned = _with_nan(micros) / 1e6, kind.tz is not None
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        raw = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
        finite = raw[np.isfinite(raw)]
        unit = float(np.median(finite)) if finite.size else 1.0
        seconds, zoned = raw * (epoch_seconds(unit) / unit if unit else 1.0), True
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _text_stamps(column.to_pylist(), name, unreadable)
    else:
        raise SitePackError(f"holds {kind}", "expected timestamps", name, 0, "time")
    seconds = np.where((seconds >= 0.0) & (seconds < LATEST_S), seconds, np.nan)
    none = np.flatnonzero(~np.isfinite(seconds))[:MAX_UNREADABLE]
    unreadable.extend(Unreadable(int(row) + 1, "time", "no time") for row in none)
    return seconds, zoned


def _with_nan(column: Any) -> Array:
    """Integers as floats, NaN where null (to_numpy would do it by way of objects)."""
    values = np.asarray(column.fill_null(0).to_numpy(), dtype=np.float64).copy()
    values[np.asarray(column.is_null().to_numpy())] = np.nan
    return values


def _text_stamps(
    texts: list[str | None], name: str, unreadable: list[Unreadable]
) -> tuple[Array, bool]:
    found = [parse_stamp(t or "") for t in texts]
    zones = {f[1] for f in found if f is not None}
    if len(zones) > 1:
        odd = [f is not None and f[1] for f in found]
        raise SitePackError(
            "some times have a zone and some have none", "write all with an offset",
            name, odd.index(not odd[0]) + 1, "time",
        )  # fmt: skip
    for row, (text, stamp) in enumerate(zip(texts, found, strict=True)):
        if stamp is None:
            unreadable.append(Unreadable(row + 1, "time", shown(text)))
    return np.array([np.nan if f is None else f[0] for f in found]), zones == {True}


def _numbers(column: Any, label: str, name: str, unreadable: list[Unreadable]) -> Array:
    import pyarrow as pa

    kind = column.type
    number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    if number or pa.types.is_decimal(kind):
        values = column.cast(pa.float64(), safe=False).to_numpy()
        return np.array(values, dtype=np.float64)
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise SitePackError(f"holds {shown(kind)}", "expected numbers", name, 0, label)
    out = np.full(len(column), np.nan)
    for row, text in enumerate(column.to_pylist()):
        bare = (text or "").strip()
        if len(bare) < SHOWN_CHARS and bare.isascii() and NUMBER.fullmatch(bare):
            out[row] = float(bare)
        elif bare.lower() not in EMPTY:
            unreadable.append(Unreadable(row + 1, label, shown(text)))
            if len(unreadable) > MAX_UNREADABLE:
                raise SitePackError(
                    f"more than {MAX_UNREADABLE} cells are no numbers, here {shown(text)!r}",
                    "is this telemetry?", name, row + 1, label,
                )  # fmt: skip
    return out
