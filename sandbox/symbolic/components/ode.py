"""A model written as text in a site pack: states with formulas, no code.

    name: tank
    states:      {level_m: {unit: m, derivative: (inflow - out) / area_m2, nominal: 1}}
    inputs:      {inflow: {unit: m3/s, lower: 0}}
    parameters:  {area_m2: {unit: m2, value: 2.0, space: log}}
    definitions: {out: 0.01 * sqrt(max(level_m, 0))}
    outputs:     {outflow: {unit: m3/s, value: out, mean: true}}

Derivatives are per second. A definition may use those above it. See `expression` for the formulas.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from graph.errors import InputError, SitePackError
from graph.record import Record
from graph.yaml_document import Document, Place, parse_yaml, read_yaml
from sandbox.symbolic.casadi_sx import Expr
from sandbox.symbolic.expression import FUNCTIONS, NAME, parse_formula
from sandbox.symbolic.model import (
    Equations,
    Output,
    Parameter,
    SymbolicModel,
    Variable,
)

MAX_NAMES = 400


class _InputText(Record):
    unit: str
    lower: float | None = None
    upper: float | None = None
    nominal: float = Field(1.0, gt=0)


class _StateText(_InputText):
    derivative: str | None = None
    jump: str | None = None


class _ParameterText(Record):
    unit: str
    value: float
    space: Literal["log", "linear"] = "linear"


class _OutputText(Record):
    unit: str
    value: str
    mean: bool = False


class _OdeText(Record):
    name: str
    source: str = ""
    states: dict[str, _StateText] = Field(min_length=1)
    inputs: dict[str, _InputText] = Field(default_factory=dict)
    parameters: dict[str, _ParameterText] = Field(default_factory=dict)
    definitions: dict[str, str] = Field(default_factory=dict)
    outputs: dict[str, _OutputText] = Field(min_length=1)


def read_ode(path: Path, name: str = "") -> SymbolicModel:
    """The model of a YAML file. Raises SitePackError with file, line and field."""
    return _model(read_yaml(path, name))


def parse_ode(text: str, name: str = "model.yaml") -> SymbolicModel:
    """The model of YAML text; see `read_ode`."""
    return _model(parse_yaml(text, name))


def _model(document: Document) -> SymbolicModel:
    text = _checked(document)
    model = SymbolicModel(
        text.name,
        states=tuple(_variable(n, v) for n, v in text.states.items()),
        inputs=tuple(_variable(n, v) for n, v in text.inputs.items()),
        parameters=tuple(
            Parameter(n, v.unit, v.value, v.space) for n, v in text.parameters.items()
        ),
        outputs=tuple(Output(n, v.unit, v.mean) for n, v in text.outputs.items()),
        equations=lambda x, u, p: _equations(document, text, {**x, **u, **p}),
        source=text.source or document.file,
    )
    _ = model.written  # a wrong formula is refused here, where its line is known
    return model


def _variable(name: str, text: _InputText) -> Variable:
    lower = -float("inf") if text.lower is None else text.lower
    upper = float("inf") if text.upper is None else text.upper
    return Variable(name, text.unit, lower, upper, text.nominal)


def _checked(document: Document) -> _OdeText:
    try:
        text = _OdeText.model_validate(document.value)
    except ValidationError as error:
        first = error.errors()[0]
        raise document.error(first["msg"], tuple(first["loc"])) from None
    seen: dict[str, Place] = {}
    for kind in ("states", "inputs", "parameters", "definitions"):
        for name in getattr(text, kind):
            place: Place = (kind, name)
            if not NAME.match(name) or name in FUNCTIONS:
                raise document.error(f"{name!r} cannot be a name", place, "letters, digits, _")
            if name in seen:
                raise document.error(f"{name!r} is declared twice", place)
            seen[name] = place
    if len(seen) + len(text.outputs) > MAX_NAMES:
        raise document.error(f"{len(seen)} names", (), f"at most {MAX_NAMES}")
    for name, parameter in text.parameters.items():
        if parameter.space == "log" and parameter.value <= 0:
            raise document.error("must be positive", ("parameters", name, "value"), "space is log")
    return text


def _equations(document: Document, text: _OdeText, known: dict[str, Expr]) -> Equations:
    def read(formula: str, place: Place) -> Any:
        try:
            return parse_formula(formula, known)
        except SitePackError:
            raise
        except InputError as error:
            raise document.error(error.message, place, error.hint) from None

    for name, formula in text.definitions.items():
        known[name] = read(formula, ("definitions", name))
    derivative, jumps = {}, {}
    for name, state in text.states.items():
        if state.derivative is None and state.jump is None:
            raise document.error("neither derivative nor jump", ("states", name))
        if state.derivative is not None:
            derivative[name] = read(state.derivative, ("states", name, "derivative"))
        if state.jump is not None:
            jumps[name] = read(state.jump, ("states", name, "jump"))
    outputs = {n: read(v.value, ("outputs", n, "value")) for n, v in text.outputs.items()}
    return Equations(derivative, outputs, jumps)
