"""Values by name and values as FMI wants them: grouped by type, with value references."""

from collections.abc import Mapping
from typing import Any

from graph.errors import InputError
from sandbox.fmi.description import REALS, FmuVariable


class ValueGroups:
    """Some variables of one FMU. `request`: [type, references] for each FMI type among them."""

    def __init__(self, variables: list[FmuVariable]) -> None:
        """Raises InputError for a variable that is no scalar number."""
        for variable in variables:
            if not variable.usable:
                kind = "an array" if variable.is_array else f"of type {variable.kind}"
                raise InputError(f"{variable.name} is {kind}", "scalar numbers and booleans only")
        kinds = sorted({v.kind for v in variables})
        self.variables = variables
        self._places = [[i for i, v in enumerate(variables) if v.kind == k] for k in kinds]
        self.request = [
            [kind, [variables[i].reference for i in places]]
            for kind, places in zip(kinds, self._places, strict=True)
        ]

    def setting(self, values: Mapping[str, float]) -> list[list[Any]]:
        """[type, references, values] for each FMI type. Raises InputError for a misfit."""
        listed = [_number(v, values[v.name]) for v in self.variables]
        return [
            [kind, references, [listed[i] for i in places]]
            for (kind, references), places in zip(self.request, self._places, strict=True)
        ]

    def named(self, answer: Any) -> dict[str, float]:
        """The answer to `request` by name, in the order given; it comes from outside.

        Raises:
            TypeError, ValueError, OverflowError: it has another shape or holds no numbers.
        """
        found = {v.name: 0.0 for v in self.variables}
        for places, values in zip(self._places, answer, strict=True):
            for place, value in zip(places, values, strict=True):
                found[self.variables[place].name] = float(value)
        return found


def _number(variable: FmuVariable, value: float) -> float | int | bool:
    """`value` as the variable's FMI type takes it. Raises InputError."""
    is_finite = value - value == 0.0
    if is_finite and variable.kind in REALS:
        return float(value)
    if is_finite and variable.kind not in REALS and value == int(value):
        return bool(value) if variable.kind == "Boolean" else int(value)
    raise InputError(
        f"{variable.name} = {value} does not fit its type {variable.kind}",
        "expected a finite number, whole unless it is real",
    )
