"""A model's step as a list of scalar operations, sorted by how often each must be evaluated.

The list is CasADi's own instruction list of the expanded expressions, in single-assignment form:
node k is one operation on earlier nodes. Equal operations are one node. Each node has a level:

    0 parameters only: once a roll-out    1 with inputs: once a step    2 with states: every stage

so a quotient of two parameters costs nothing in the inner loop, however it is written. For the same
reason a division by something held is a multiplication by its held reciprocal.
"""

from dataclasses import dataclass

from graph.errors import InputError
from sandbox.symbolic.casadi_sx import Expr, SymbolicFunction, casadi
from sandbox.symbolic.step import StepEquations

LEVELS = {"p": 0, "u": 1, "x": 2}
MAX_PRODUCT = 16  # the largest power that is multiplied out
PIECES = ("slope", "jumped", "read")


@dataclass(frozen=True)
class Node:
    """One value: a `constant` (value), an input (`x`, `u`, `p`; index) or an operation on args."""

    op: str
    args: tuple[int, ...] = ()
    value: float = 0.0
    index: int = 0
    level: int = 0


@dataclass(frozen=True)
class Program:
    """Nodes in order of evaluation and the nodes that are the rows of each piece.

    Inputs: x (S,), u (U,), p (P + 1,) whose last entry is the substep's length h in seconds.
    """

    nodes: tuple[Node, ...]
    pieces: dict[str, tuple[int, ...]]
    sizes: dict[str, int]

    def needed(self, rows: tuple[int, ...], level: int) -> list[int]:
        """The nodes of at least this level that `rows` rest on, in order of evaluation."""
        found: set[int] = set()
        stack = [row for row in rows if self.nodes[row].level >= level]
        while stack:
            k = stack.pop()
            if k not in found:
                found.add(k)
                stack += [a for a in self.nodes[k].args if self.nodes[a].level >= level]
        return sorted(found)

    def held(self, level: int) -> list[int]:
        """The operations of exactly this level that a higher level or a result reads."""
        used = set()
        for piece in PIECES:
            rows = self.pieces[piece]
            used |= {k for k in rows if self._is_held(k, level)}
            for k in self.needed(rows, level + 1):
                used |= {a for a in self.nodes[k].args if self._is_held(a, level)}
        if level == 0:  # what is evaluated once a step may read what is evaluated once a roll-out
            for k in self.needed(tuple(self.held(1)), 1):
                used |= {a for a in self.nodes[k].args if self._is_held(a, 0)}
        return sorted(used)

    def _is_held(self, k: int, level: int) -> bool:
        node = self.nodes[k]
        return node.level == level and node.op not in (*LEVELS, "constant")


def compile_program(equations: StepEquations) -> Program:
    """The operations of one substep. Raises InputError on one that batches cannot evaluate."""
    ca, e = casadi(), equations
    function = ca.Function("substep", [e.x, e.u, ca.vertcat(e.p, e.h)], [e.slope, e.jumped, e.read])
    nodes, slots, names = _Nodes(), dict[int, int](), _names()
    pieces = {piece: [0] * function.nnz_out(i) for i, piece in enumerate(PIECES)}
    for k in range(function.n_instructions()):
        op = names[function.instruction_id(k)]
        if op == "output":
            piece, row = function.instruction_output(k)
            pieces[PIECES[piece]][row] = slots[function.instruction_input(k)[0]]
        else:
            slots[function.instruction_output(k)[0]] = _read(function, k, op, nodes, slots)
    sizes = {"x": _size(e.x), "u": _size(e.u), "p": _size(e.p) + 1}
    return Program(tuple(nodes.all), {p: tuple(rows) for p, rows in pieces.items()}, sizes)


def _read(
    function: SymbolicFunction, k: int, op: str, nodes: "_Nodes", slots: dict[int, int]
) -> int:
    if op == "const":
        return nodes.constant(float(function.instruction_constant(k)))
    if op == "input":
        which, index = function.instruction_input(k)
        name = "xup"[which]
        return nodes.add(Node(name, index=index, level=LEVELS[name]))
    if op not in OPERATIONS:
        raise InputError(
            f"batches cannot evaluate the operation {op!r}",
            "write the model with arithmetic, min, max, where and elementary functions",
        )
    args = [slots[a] for a in function.instruction_input(k)[: OPERATIONS[op]]]
    return nodes.operation(op, args)


class _Nodes:
    """The list as it grows; equal nodes are entered once."""

    def __init__(self) -> None:
        self.all: list[Node] = []
        self.known: dict[Node, int] = {}

    def add(self, node: Node) -> int:
        if node not in self.known:
            self.known[node] = len(self.all)
            self.all.append(node)
        return self.known[node]

    def constant(self, value: float) -> int:
        return self.add(Node("constant", value=value))

    def operation(self, op: str, args: list[int]) -> int:
        """One operation, or what does the same faster to within a rounding."""
        a, b = args[0], args[-1]
        if op == "div" and self.all[b].level < max(self.all[a].level, 1):
            return self.operation("mul", [a, self._reciprocal(b)])
        if op in ("pow", "constpow") and self.all[b].op == "constant":
            exponent = self.all[b].value
            if exponent.is_integer() and 2 <= exponent <= MAX_PRODUCT:
                return self._power(a, int(exponent))
        return self.add(Node(op, tuple(args), level=max(self.all[k].level for k in args)))

    def _reciprocal(self, k: int) -> int:
        """1 / k, evaluated as seldom as k is."""
        node = self.all[k]
        if node.op == "constant" and node.value != 0.0:
            return self.constant(1.0 / node.value)
        return self.operation("inv", [k])

    def _power(self, k: int, exponent: int) -> int:
        """k to a small integer by repeated squaring."""
        if exponent == 1:
            return k
        root = self._power(k, exponent // 2)
        square = self.operation("sq", [root])
        return self.operation("mul", [square, k]) if exponent % 2 else square


def _size(expression: Expr) -> int:
    return int(expression.shape[0])


def _names() -> dict[int, str]:
    """CasADi's operation codes by number, in lower case without their prefix."""
    ca = casadi()
    return {getattr(ca, n): n[3:].lower() for n in dir(ca) if n.startswith("OP_")}


# Operations and their number of arguments.
OPERATIONS = {
    "assign": 1, "add": 2, "sub": 2, "mul": 2, "div": 2, "neg": 1, "exp": 1, "log": 1, "pow": 2,
    "constpow": 2, "sqrt": 1, "sq": 1, "twice": 1, "sin": 1, "cos": 1, "tan": 1, "asin": 1,
    "acos": 1, "atan": 1, "lt": 2, "le": 2, "eq": 2, "ne": 2, "not": 1, "and": 2, "or": 2,
    "floor": 1, "ceil": 1, "fmod": 2, "fabs": 1, "sign": 1, "copysign": 2, "if_else_zero": 2,
    "fmin": 2, "fmax": 2, "inv": 1, "sinh": 1, "cosh": 1, "tanh": 1, "asinh": 1, "acosh": 1,
    "atanh": 1, "atan2": 2, "expm1": 1, "log1p": 1, "hypot": 2,
}  # fmt: skip
