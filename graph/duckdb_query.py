"""SQL over frames through duckdb, in memory, shut off from files and network."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from graph.arrow_files import to_table
from graph.errors import InputError

if TYPE_CHECKING:
    from graph.telemetry import Frame


def run(sql: str, frames: "Mapping[str, Frame]") -> list[dict[str, object]]:
    """Rows of the answer as dictionaries. Raises InputError for wrong SQL."""
    import duckdb

    connection = duckdb.connect(":memory:", config={"threads": 1})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        for name, frame in frames.items():
            seconds = frame.start.timestamp() + frame.step_s * np.arange(
                len(frame), dtype=np.float64
            )
            connection.register(name, to_table(seconds, frame.columns))
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        answer = connection.execute(sql)
        names = [d[0] for d in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
    except duckdb.Error as error:
        raise InputError(f"the query failed: {error}", f"tables: {', '.join(frames)}") from error
    finally:
        connection.close()
