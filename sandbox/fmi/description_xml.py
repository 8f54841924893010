"""`modelDescription.xml` read from bytes that nobody has checked yet.

1. Expat parses; a DOCTYPE is refused at its first letter, so there are no entities to expand and
   no files or addresses to fetch; nesting is bounded, size is (see `archive`).
2. FMI 2.0 and 3.0 only; every number and every reference is checked where it is read.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from graph.errors import InputError
from sandbox.fmi.description import (
    BASES,
    BaseUnit,
    FmuDescription,
    FmuInterface,
    FmuUnit,
    FmuVariable,
    InterfaceKind,
)

MAX_DEPTH = 32  # FMI's deepest element nests 8
TRUE = frozenset({"true", "1"})
INTERFACES: dict[str, InterfaceKind] = {
    "CoSimulation": "co_simulation", "ModelExchange": "model_exchange",
}  # fmt: skip
FMI3_KINDS = frozenset({
    "Float32", "Float64", "Int8", "UInt8", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64",
    "Boolean", "String", "Binary", "Enumeration", "Clock",
})  # fmt: skip
FMI2_KINDS = frozenset({"Real", "Integer", "Boolean", "String", "Enumeration"})


def parse_description(data: bytes, file: str) -> FmuDescription:
    """The description in `data`; `file` names it in errors. Raises InputError."""
    root = _parse(data, file)
    if root.tag != "fmiModelDescription":
        raise InputError(f"{file}: the root is <{root.tag}>", "expected <fmiModelDescription>")
    version = root.get("fmiVersion", "")
    if version == "2.0":
        return _Fmi2(root, file).read()
    if version.startswith("3.0"):
        return _Fmi3(root, file).read()
    raise InputError(
        f"{file} is an FMU of FMI {version or '(none given)'}",
        "expected FMI 2.0 or 3.0: export it again from its tool",
    )


def _parse(data: bytes, file: str) -> Element:
    builder, parser = TreeBuilder(), expat.ParserCreate()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise InputError(f"{file}: modelDescription.xml nests deeper than {MAX_DEPTH}")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def doctype(*_: object) -> NoReturn:
        raise InputError(
            f"{file}: modelDescription.xml has a DOCTYPE", "FMI needs none; entities are refused"
        )

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError, AssertionError) as error:
        raise InputError(
            f"{file}: modelDescription.xml is not well formed: {error}", "export the FMU again"
        ) from error


class _Reader:
    """What FMI 2.0 and 3.0 have in common."""

    version = "2.0"
    token_name = "guid"  # noqa: S105  # FMI's word for the model's fingerprint
    state_word = "FMUstate"

    def __init__(self, root: Element, file: str) -> None:
        self.root, self.file = root, file
        defined = root.iterfind("UnitDefinitions/Unit")
        self.units = {u.get("name", ""): self._base(u) for u in defined}

    def number(self, element: Element, name: str, kind: Callable[[str], float]) -> float | None:
        """Attribute `name` as a number; None without it. Raises InputError."""
        text = element.get(name)
        if text is None:
            return None
        try:
            return kind(text)
        except ValueError:
            who = element.get("name", element.tag)
            raise InputError(f"{self.file}: {who}: {name}={text[:40]!r} is no number") from None

    def whole(self, element: Element, name: str) -> int:
        """Attribute `name` as a whole number that must be there. Raises InputError."""
        value = self.number(element, name, int)
        if value is None:
            raise InputError(f"{self.file}: <{element.tag}> lacks {name}", "export the FMU again")
        return int(value)

    def _base(self, unit: Element) -> BaseUnit | None:
        base = unit.find("BaseUnit")
        if base is None:
            return None
        exponents = tuple(int(self.number(base, b, int) or 0) for b in BASES)
        factor, offset = self.number(base, "factor", float), self.number(base, "offset", float)
        if factor == 0.0:
            raise InputError(f"{self.file}: unit {unit.get('name')!r} has factor 0")
        return BaseUnit(exponents, 1.0 if factor is None else factor, offset or 0.0)

    def unit(self, value: Element, declared: Element | None) -> FmuUnit | None:
        """The unit of a variable, its own or its type's."""
        sources = [e for e in (value, declared) if e is not None]
        name = next((e.get("unit") for e in sources if e.get("unit")), None)
        if name is None:
            return None
        relative = any(e.get("relativeQuantity") in TRUE for e in sources)
        return FmuUnit(name, self.units.get(name), relative)

    def interfaces(self) -> dict[InterfaceKind, FmuInterface]:
        """The interfaces that can run here."""
        found: dict[InterfaceKind, FmuInterface] = {}
        for tag, kind in INTERFACES.items():
            element = self.root.find(tag)
            if element is None:
                continue
            identifier = element.get("modelIdentifier", "")
            if not identifier.replace("_", "a").isalnum():
                raise InputError(f"{self.file}: {tag}: modelIdentifier {identifier[:40]!r}")
            can_snapshot = element.get(f"canGetAndSet{self.state_word}") in TRUE
            found[kind] = FmuInterface(
                kind,
                identifier,
                can_snapshot,
                can_snapshot and element.get(f"canSerialize{self.state_word}") in TRUE,
                element.get("canHandleVariableCommunicationStepSize") in TRUE
                or kind == "model_exchange",
                kind == "model_exchange" and self.needs_completed_step(element),
            )
        return found

    def needs_completed_step(self, element: Element) -> bool:
        """Whether the FMU wants to hear of each step of the solver."""
        return element.get("completedIntegratorStepNotNeeded") not in TRUE

    def variables(self) -> Iterator[FmuVariable]:
        """All variables, in the FMU's order."""
        raise NotImplementedError

    def feedthrough(self, variables: list[FmuVariable]) -> dict[str, frozenset[str] | None]:
        """By output: the inputs that act on it at once."""
        raise NotImplementedError

    def state_count(self) -> int:
        """Number of continuous states, where the file says it."""
        return 0

    def read(self) -> FmuDescription:
        """The whole description."""
        listed = list(self.variables())
        named = {v.name: v for v in listed}
        if len(named) < len(listed):
            names = [v.name for v in listed]
            twice = next(n for n in names if names.count(n) > 1)
            raise InputError(f"{self.file}: the variable {twice!r} is there twice")
        token = self.root.get(self.token_name)
        if not token:
            raise InputError(f"{self.file}: modelDescription.xml has no {self.token_name}")
        return FmuDescription(
            file=self.file,
            version="2.0" if self.version == "2.0" else "3.0",
            model=self.root.get("modelName", ""),
            token=token,
            tool=self.root.get("generationTool", ""),
            interfaces=self.interfaces(),
            variables=named,
            feedthrough=self.feedthrough(listed),
            states=self.state_count(),
            indicators=int(self.number(self.root, "numberOfEventIndicators", int) or 0),
        )

    def name_of(self, element: Element) -> str:
        """The variable's name. Raises InputError without one."""
        name = element.get("name")
        if not name:
            raise InputError(f"{self.file}: a variable without a name", "export the FMU again")
        return name


class _Fmi2(_Reader):
    def variables(self) -> Iterator[FmuVariable]:
        defined = self.root.iterfind("TypeDefinitions/SimpleType")
        types = {t.get("name"): t[0] for t in defined if len(t)}
        for element in self.root.iterfind("ModelVariables/ScalarVariable"):
            name = self.name_of(element)
            value = next((c for c in element if c.tag in FMI2_KINDS), None)
            if value is None:
                raise InputError(f"{self.file}: the variable {name!r} has no type")
            causality = element.get("causality", "local")
            yield FmuVariable(
                name,
                self.whole(element, "valueReference"),
                value.tag,
                causality,
                element.get("variability", "continuous"),
                element.get("initial") or _default_initial(causality),
                value.get("start"),
                self.unit(value, types.get(value.get("declaredType"))),
                self.number(value, "nominal", float),
            )

    def feedthrough(self, variables: list[FmuVariable]) -> dict[str, frozenset[str] | None]:
        """References are 1-based places in the list of variables."""

        def at(place: int) -> FmuVariable:
            if not 1 <= place <= len(variables):
                raise InputError(f"{self.file}: ModelStructure names variable {place}")
            return variables[place - 1]

        found = {}
        for unknown in self.root.iterfind("ModelStructure/Outputs/Unknown"):
            listed = self._places(unknown)
            inputs = None
            if listed is not None:
                inputs = frozenset(v.name for v in map(at, listed) if v.causality == "input")
            found[at(self.whole(unknown, "index")).name] = inputs
        return found

    def _places(self, unknown: Element) -> list[int] | None:
        text = unknown.get("dependencies")
        try:
            return None if text is None else [int(word) for word in text.split()]
        except ValueError:
            raise InputError(f"{self.file}: dependencies={text!r}"[:200]) from None

    def state_count(self) -> int:
        return len(self.root.findall("ModelStructure/Derivatives/Unknown"))


class _Fmi3(_Fmi2):
    version, token_name, state_word = "3.0", "instantiationToken", "FMUState"

    def needs_completed_step(self, element: Element) -> bool:
        return element.get("needsCompletedIntegratorStep") in TRUE

    def variables(self) -> Iterator[FmuVariable]:
        types = {t.get("name"): t for t in self.root.iterfind("TypeDefinitions/*")}
        for element in self.root.iterfind("ModelVariables/*"):
            if element.tag not in FMI3_KINDS:
                continue
            causality = element.get("causality", "local")
            continuous = element.tag in ("Float32", "Float64")
            is_parameter = causality.lower().endswith("parameter")
            usual = "fixed" if is_parameter else "continuous" if continuous else "discrete"
            variable = FmuVariable(
                self.name_of(element),
                self.whole(element, "valueReference"),
                element.tag,
                causality,
                element.get("variability", usual),
                element.get("initial") or _default_initial(causality),
                element.get("start"),
                self.unit(element, types.get(element.get("declaredType"))),
                self.number(element, "nominal", float),
                element.find("Dimension") is not None,
            )
            yield variable
            for alias in element.iterfind("Alias"):
                yield replace(variable, name=self.name_of(alias))

    def feedthrough(self, variables: list[FmuVariable]) -> dict[str, frozenset[str] | None]:
        """References are value references; an alias shares its variable's."""
        by_reference: dict[int, list[FmuVariable]] = {}
        for variable in variables:
            by_reference.setdefault(variable.reference, []).append(variable)
        found: dict[str, frozenset[str] | None] = {}
        for unknown in self.root.iterfind("ModelStructure/Output"):
            listed = self._places(unknown)
            inputs = None
            if listed is not None:
                near = [v for r in listed for v in by_reference.get(r, [])]
                inputs = frozenset(v.name for v in near if v.causality == "input")
            for output in by_reference.get(self.whole(unknown, "valueReference"), []):
                found[output.name] = inputs
        return found

    def state_count(self) -> int:
        return len(self.root.findall("ModelStructure/ContinuousStateDerivative"))


def _default_initial(causality: str) -> str | None:
    """FMI's default where the file says nothing (only what start values need)."""
    return "exact" if causality in ("input", "parameter") else None
