"""What drives FMUs from outside: the columns of a pack's `data/inputs.parquet` (or `.csv`).

A column that is a signal of the site has that signal's unit; another one whose name ends as the
site's signals do (`_kw`, `_degc`, ...) has the unit that the ending says; any other is in the
FMU's own unit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from graph.errors import InputError
from graph.simulators import FmuSimulator
from graph.site import Site
from graph.site_checks import NAMED_UNITS
from graph.sitepack import inner_path
from graph.telemetry import Frame, read_frame
from sandbox.fmi.coupling import split_name
from sandbox.fmi.description import FmuDescription
from sandbox.fmi.fmu_units import Affine, from_site

STEM = "data/inputs"


@dataclass(frozen=True)
class RecordedInputs:
    """A frame, and where each of its columns goes: (input, the way to the input's unit)."""

    frame: Frame
    targets: Mapping[str, tuple[str, Affine]]

    def mean(self, column: str, start: datetime, step_s: float) -> float:
        """The column's mean over (start, start + step_s], in its own unit.

        Raises:
            InputError: the frame does not cover the interval.
        """
        frame, values = self.frame, self.frame.columns[column]
        begin = (start - frame.start).total_seconds() / frame.step_s + 1.0  # in rows
        end = begin + step_s / frame.step_s
        first, last = math.floor(begin), math.ceil(end) - 1
        if first < 0 or last >= len(frame):
            raise InputError(
                f"{STEM} covers {frame.start - timedelta(seconds=frame.step_s)} to {frame.end}, "
                f"not {start} and {step_s:g} s more",
                "record more, or run another stretch",
            )
        if first == last:
            return float(values[first])
        weighted = [
            (min(k + 1, end) - max(k, begin)) * float(values[k]) for k in range(first, last + 1)
        ]
        return math.fsum(weighted) / (end - begin)

    def at(self, start: datetime, step_s: float) -> dict[str, float]:
        """By input: the value to hold over (start, start + step_s], in the FMU's unit."""
        return {
            name: unit(self.mean(column, start, step_s))
            for column, (name, unit) in self.targets.items()
        }


def load_inputs(
    simulator: FmuSimulator, folder: Path, site: Site, descriptions: Mapping[str, FmuDescription]
) -> RecordedInputs | None:
    """The pack's recorded inputs; None where it declares none.

    Raises:
        SitePackError: the file is missing or wrong: a column, a time, a number.
        InputError: an unknown input, or a column in a unit of something else.
    """
    if not simulator.inputs:
        return None
    names = [f"{STEM}{suffix}" for suffix in (".parquet", ".csv")]
    name = next((n for n in names if inner_path(folder, n).exists()), names[0])
    frame = read_frame(
        inner_path(folder, name), list(simulator.inputs), missing_allowed=False, name=name
    )
    targets = {}
    for column, target in simulator.inputs.items():
        component, variable = split_name(target, descriptions)
        declared = descriptions[component].variable(variable)
        try:
            targets[column] = target, from_site(declared, column_unit(column, site))
        except InputError as error:
            raise InputError(f"{name}: {column}: {error.message}", error.hint) from error
    return RecordedInputs(frame, targets)


def column_unit(column: str, site: Site) -> str | None:
    """The unit of a column; None: the FMU's own."""
    for spec in site.signals:
        if spec.id == column:
            return spec.unit
    return next((unit for ending, unit in NAMED_UNITS if column.endswith(ending)), None)
