"""What a surrogate stands in for: names and units, how it rolls out, and what is known of it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graph.errors import InputError
from graph.record import Record
from sandbox.building.twin import BuildingTwin
from sandbox.ode_twin import OdeTwin
from sandbox.symbolic.batch import Simulates
from sandbox.symbolic.linear import linearise
from sandbox.symbolic.model import SymbolicModel
from sandbox.twin import Twin

Array = NDArray[np.float64]


class Quantity(Record):
    """A state, input or output: its name and unit."""

    name: str
    unit: str


@dataclass(frozen=True)
class Physics:
    """A step that is known: x+ = A x + B u + c + heat y, y the outputs.

    Shapes: A (S, S), B (S, U), c (S,), heat (S, Y). features (K, S + U) and offset (K,): linear
    quantities at whose zero something switches, such as the setpoint less the free temperature.
    """

    A: Array
    B: Array
    c: Array
    heat: Array
    features: Array
    offset: Array


@dataclass(frozen=True)
class Replaced:
    """A model with one step. digest: of what makes it; simulator: rolls it out.

    point: the parameters (P,) at which it is replaced; None where it has none to vary.
    shows: by state, the measured signal that shows it. bounds: (S, 2) of the states.
    """

    kind: Literal["twin", "fmu"]
    name: str
    digest: str
    step_s: float
    states: tuple[Quantity, ...]
    inputs: tuple[Quantity, ...]
    outputs: tuple[Quantity, ...]
    simulator: Simulates
    point: Array | None
    shows: dict[str, str]
    bounds: Array
    physics: Physics | None = None

    def run(self, x0: ArrayLike, u: ArrayLike) -> tuple[Array, Array]:
        """States (F, N, S) and outputs (F, N, Y) from x0 (F, S) under u (F, N, U)."""
        return self.simulator.run(x0, u, self.point)


ModelTwin = BuildingTwin | OdeTwin


def model_twin(twin: Twin) -> ModelTwin:
    """The twin, if it is one of equations. Raises InputError for a twin with a memory."""
    if not isinstance(twin, BuildingTwin | OdeTwin):
        raise InputError(
            f"a twin of kind {twin.parameters.kind} has switches with a memory (minimum times of "
            "its heat pump), which these networks do not carry",
            "surrogates replace twins of kind building or ode, and FMUs",
        )
    return twin


def replaced_twin(twin: Twin, step_s: float | None = None) -> Replaced:
    """The twin's equations at its point estimate, in the site's steps. Raises InputError."""
    known = model_twin(twin)
    model, step = known.model, float(step_s or known.site.step_s)
    physics = _building_step(known, step) if isinstance(known, BuildingTwin) else None
    return Replaced(
        kind="twin",
        name=f"{known.parameters.kind} twin of {known.site.id}",
        digest=known.digest,
        step_s=step,
        states=tuple(Quantity(name=v.name, unit=v.unit) for v in model.states),
        inputs=tuple(Quantity(name=v.name, unit=v.unit) for v in model.inputs),
        outputs=tuple(Quantity(name=v.name, unit=v.unit) for v in model.outputs),
        simulator=known.simulator(step),
        point=np.array(known.parameters.values, dtype=float),
        shows={state: signal for signal, state in known.layout.state_of.items()},
        bounds=np.array([[v.lower, v.upper] for v in model.states]),
        physics=physics,
    )


def _building_step(twin: BuildingTwin, step_s: float) -> Physics:
    """The rooms' network with the delivered heat given, and how far each room is off its band."""
    model, zones = twin.model, [z.id for z in twin.layout.zones]
    p = np.array(twin.parameters.values, dtype=float)
    names, states = model.input_names, model.state_names
    x, u = np.full(len(states), 21.0), _rest(model)
    for zone in zones:
        u[names.index(f"{zone}.given")] = 1.0
    a, b, _, _ = linearise(model, x, u, p, step_s)
    moved, _ = twin.simulator(step_s).run(x[None], u[None], p)
    c = moved[0, 0] - a @ x - b @ u
    heat = np.zeros((len(states), len(model.outputs)))
    for zone in zones:
        column = b[:, names.index(f"{zone}.heat_kw")].copy()
        heat[:, model.output_names.index(f"{zone}.heat_kw")] = column
        # What was linearised for itself is no input of the network any more.
        b[:, names.index(f"{zone}.heat_kw")] = 0.0
    rows, offset = [], []
    for zone in zones:
        air = states.index(f"{zone}.air")
        for side, sign in (("heating", 1.0), ("cooling", -1.0)):
            row = -sign * np.concatenate([a[air], b[air]])
            row[len(states) + names.index(f"{zone}.{side}_setpoint_degc")] += sign
            rows.append(row)
            offset.append(-sign * c[air])
    return Physics(a, b, c, heat, np.array(rows), np.array(offset))


def _rest(model: SymbolicModel) -> Array:
    """Mild inputs with sound units: a point where nothing switches."""
    mild = {"outdoor_degc": 15.0, "ventilating": 0.5}
    found = np.zeros(len(model.inputs))
    for i, name in enumerate(model.input_names):
        kind = name.split(".")[-1]
        if name in mild:
            found[i] = mild[name]
        elif kind in ("capacity", "efficiency"):
            found[i] = 1.0
        elif kind.endswith("setpoint_degc"):
            found[i] = 18.0 if kind.startswith("heating") else 26.0
    return found
