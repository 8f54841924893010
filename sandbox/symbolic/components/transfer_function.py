"""Any proper transfer function with one input and one output, in controllable canonical form.

    G(s) = (b0 s^n + ... + bn) / (s^n + a1 s^(n-1) + ... + an), s in 1/s

    dx1/dt = -a1 x1 - ... - an xn + u, dx_(i+1)/dt = x_i, y = b0 u + sum (b_i - b0 a_i) x_i

(T. Kailath, Linear Systems, 1980, section 2.1.) The coefficients are parameters, so the same model
can be fitted.
"""

from collections.abc import Sequence

from graph.errors import InputError
from sandbox.symbolic.model import Equations, Names, Output, Parameter, SymbolicModel, Variable


def transfer_function(
    numerator: Sequence[float], denominator: Sequence[float], input_unit: str = "1",
    output_unit: str = "1",
) -> SymbolicModel:  # fmt: skip
    """Input `u`, output `y` (value at the end). Coefficients from the highest power of s down.

    Raises InputError when it is not proper or the leading coefficient is zero.
    """
    bottom = [float(a) for a in denominator]
    top = [float(b) for b in numerator]
    while len(top) > 1 and top[0] == 0.0:
        top.pop(0)
    if not bottom or bottom[0] == 0.0 or not top:
        raise InputError("a transfer function without a leading coefficient", "drop the zero")
    if len(top) > len(bottom):
        raise InputError(
            f"a transfer function of degree {len(top) - 1} over {len(bottom) - 1} is not proper",
            "the numerator's degree must not exceed the denominator's",
        )
    n = len(bottom) - 1
    a = [c / bottom[0] for c in bottom[1:]]
    b = {n - len(top) + 1 + i: c / bottom[0] for i, c in enumerate(top)}  # by row; others are zero
    names = [f"x{i + 1}" for i in range(n)]

    def equations(x: Names, u: Names, p: Names) -> Equations:
        derivative = {name: x[names[i - 1]] for i, name in enumerate(names) if i}
        direct = p["b0"] if 0 in b else 0.0  # a strictly proper one passes nothing straight on
        y, fed = direct * u["u"], u["u"]
        for i, name in enumerate(names, 1):
            fed = fed - p[f"a{i}"] * x[name]
            y = y + ((p[f"b{i}"] if i in b else 0.0) - direct * p[f"a{i}"]) * x[name]
        return Equations({**derivative, **({names[0]: fed} if n else {})}, {"y": y})

    return SymbolicModel(
        "transfer function",
        states=tuple(Variable(name, "1") for name in names),
        inputs=(Variable("u", input_unit),),
        parameters=(*(Parameter(f"a{i + 1}", "1", v) for i, v in enumerate(a)),
                    *(Parameter(f"b{i}", "1", v) for i, v in b.items())),
        outputs=(Output("y", output_unit),),
        equations=equations, source="Kailath 1980, 2.1",
    )  # fmt: skip
