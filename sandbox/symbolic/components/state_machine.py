"""Modes with guarded transitions and dwell times: equipment logic beside the physics.

State `mode` is the index of the current mode, `held_s` how long it has been held. At the end of
each substep the first transition (in the order given) whose source is the current mode, whose
guard holds and whose dwell time has passed is taken; held_s starts again at zero. So a transition
is seen at most one substep late: choose substeps accordingly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graph.errors import InputError
from sandbox.symbolic.casadi_sx import Expr, both, constant, where
from sandbox.symbolic.expression import parse_formula
from sandbox.symbolic.model import Equations, Names, Output, Parameter, SymbolicModel, Variable

ROUNDING_S = 1e-6  # a dwell time that a whole number of substeps adds up to has passed


@dataclass(frozen=True)
class Transition:
    """From `source` to `target` when `guard` holds and source was held for `after_s`.

    The guard is a formula over inputs and parameters (see `expression`).
    """

    source: str
    target: str
    guard: str
    after_s: float = 0.0


def state_machine(
    modes: Mapping[str, Mapping[str, float]], transitions: Sequence[Transition],
    inputs: Mapping[str, str], parameters: Mapping[str, tuple[str, float]] | None = None,
    units: Mapping[str, str] | None = None,
) -> SymbolicModel:  # fmt: skip
    """`modes`: output values by mode name, the same names in each; `inputs`: unit by name;
    `parameters`: (unit, value) by name; `units`: of the outputs.

    States mode, held_s; outputs mode (value at the end) and each mode's values (means). Start in
    mode k with x = (k, a time longer than every dwell). Raises InputError on unknown modes,
    unequal outputs or a bad guard.
    """
    names = list(modes)
    values = sorted({v for of_mode in modes.values() for v in of_mode})
    if len(names) < 2 or any(sorted(of_mode) != values for of_mode in modes.values()):
        raise InputError("modes give different outputs", "give every mode the same output names")
    unknown = sorted({m for t in transitions for m in (t.source, t.target)} - set(names))
    if unknown:
        raise InputError(f"a transition names mode {', '.join(unknown)}", f"modes: {names}")
    known_units = dict(units or {})

    def equations(x: Names, u: Names, p: Names) -> Equations:
        shown = {v: _by_mode(x["mode"], [modes[m][v] for m in names]) for v in values}
        mode, taken = _next(x, {**u, **p}, names, transitions)
        held = where(taken, 0.0, x["held_s"])
        return Equations(
            {"held_s": constant(1.0)}, {"mode": x["mode"], **shown}, {"mode": mode, "held_s": held}
        )

    model = SymbolicModel(
        "state machine",
        states=(Variable("mode", "1", 0.0, len(names) - 1.0), Variable("held_s", "s", 0.0)),
        inputs=tuple(Variable(n, unit) for n, unit in inputs.items()),
        parameters=tuple(Parameter(n, unit, v) for n, (unit, v) in (parameters or {}).items()),
        outputs=(Output("mode", "1"),
                 *(Output(v, known_units.get(v, "1"), mean=True) for v in values)),
        equations=equations, source="finite state machine with dwell times",
    )  # fmt: skip
    _ = model.written  # a bad guard is refused here
    return model


def _by_mode(mode: Expr, values: Sequence[float]) -> Expr:
    """The value of the current mode."""
    found = constant(values[-1])
    for k in range(len(values) - 2, -1, -1):
        found = where(mode < k + 0.5, values[k], found)
    return found


def _next(
    x: Names, known: Names, names: Sequence[str], transitions: Sequence[Transition]
) -> tuple[Expr, Expr]:
    """(mode after the jump, whether it changed). Later transitions yield to earlier ones."""
    mode, taken = x["mode"], constant(0.0)
    for t in reversed(transitions):
        source = names.index(t.source)
        here = both(x["mode"] > source - 0.5, x["mode"] < source + 0.5)
        long = x["held_s"] >= t.after_s - ROUNDING_S
        fires = both(both(here, long), parse_formula(t.guard, known))
        mode = where(fires, float(names.index(t.target)), mode)
        taken = where(fires, 1.0, taken)
    return mode, taken
