"""What an FMU says of itself: `modelDescription.xml` of FMI 2.0 and 3.0, as frozen values.

Read here and not by FMPy, because importing FMPy loads native code, and because FMPy 0.3.32 leaves
entities to the defaults of the lxml that happens to be installed, and bounds no sizes.
Source: FMI 2.0.4, section 2.2 and 4.3; FMI 3.0.1, section 2.4.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from graph.errors import InputError

InterfaceKind = Literal["co_simulation", "model_exchange"]
REALS = frozenset({"Real", "Float32", "Float64"})
WHOLES = frozenset({
    "Integer", "Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64",
})  # fmt: skip
BASES = ("kg", "m", "s", "A", "K", "mol", "cd", "rad")


@dataclass(frozen=True)
class BaseUnit:
    """A unit in SI: base = factor x value + offset, exponents in the order of `BASES`."""

    exponents: tuple[int, ...]
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class FmuUnit:
    """A unit as a variable declares it. `relative`: a difference, so offsets do not count."""

    name: str
    base: BaseUnit | None = None
    relative: bool = False


@dataclass(frozen=True)
class FmuVariable:
    """One variable. `kind` is FMI's type; only scalar numbers and booleans are `usable`."""

    name: str
    reference: int
    kind: str
    causality: str
    variability: str
    initial: str | None = None
    start: str | None = None
    unit: FmuUnit | None = None
    nominal: float | None = None
    is_array: bool = False

    @property
    def usable(self) -> bool:
        """Whether a number can be set or read here."""
        known = self.kind in REALS or self.kind in WHOLES or self.kind in ("Boolean", "Enumeration")
        return known and not self.is_array

    @property
    def is_settable_at_start(self) -> bool:
        """Whether a start value can be given before the initialisation."""
        if self.causality == "parameter":
            return True
        calculated = self.causality in ("calculatedParameter", "structuralParameter", "independent")
        return not calculated and self.initial in ("exact", "approx")


@dataclass(frozen=True)
class FmuInterface:
    """One way to run the FMU, and what it can do there."""

    kind: InterfaceKind
    identifier: str
    can_snapshot: bool = False
    can_serialise: bool = False
    variable_step: bool = True
    needs_completed_step: bool = False


@dataclass(frozen=True)
class FmuDescription:
    """An FMU's model description.

    `feedthrough`: by output, the inputs that act on it at once, or None where the FMU is silent
    about it (then any may). `states`, `indicators`: of model exchange, by FMI 2.0 only.
    """

    file: str
    version: Literal["2.0", "3.0"]
    model: str
    token: str
    tool: str
    interfaces: Mapping[InterfaceKind, FmuInterface]
    variables: Mapping[str, FmuVariable]
    feedthrough: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    states: int = 0
    indicators: int = 0

    def interface(self, wanted: InterfaceKind | None) -> FmuInterface:
        """The wanted interface; without a wish co-simulation before model exchange.

        Raises:
            InputError: the FMU has none of that kind.
        """
        order: tuple[InterfaceKind, ...] = ("co_simulation", "model_exchange")
        if wanted:
            order = (wanted,)
        for kind in order:
            if kind in self.interfaces:
                return self.interfaces[kind]
        offered = ", ".join(self.interfaces) or "none that runs here"
        raise InputError(
            f"{self.file} has no interface for {wanted or 'simulation'}", f"it has: {offered}"
        )

    def variable(self, name: str) -> FmuVariable:
        """The variable `name`. Raises InputError with the nearest names."""
        if name in self.variables:
            return self.variables[name]
        import difflib

        close = difflib.get_close_matches(name, list(self.variables), n=3)
        known = [n for n, v in self.variables.items() if v.causality in ("input", "output")]
        hint = f"did you mean {', '.join(close)}?" if close else f"it has: {', '.join(known[:12])}"
        raise InputError(f"{self.file} has no variable {name!r}", hint)

    def of_causality(self, causality: str) -> tuple[str, ...]:
        """Names of the usable variables of one causality, in the FMU's order."""
        return tuple(n for n, v in self.variables.items() if v.causality == causality and v.usable)
