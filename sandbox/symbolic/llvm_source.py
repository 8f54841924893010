"""Writes a model's roll-out as one LLVM function over blocks of LANES futures.

A block's working memory `w` holds, row by row, one value of its LANES futures side by side:

    X states   T point of a stage   U inputs   P parameters   H held operations
    K slopes   A weighted slopes    M sums of means   J jumped states   Y readings

Per block: load x0 and p, evaluate what rests on parameters alone; per step: load u, evaluate what
rests on inputs; per substep: the stages, advance, jump; then read and store. All lanes take the
same path; the last block is filled by repeating the last future, whose copies are not stored.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sandbox.symbolic.llvm_nodes import LANES, VECTOR, NodeWriter, helpers, splat
from sandbox.symbolic.program import Program
from sandbox.symbolic.step import Stages

ARGUMENTS = (
    "ptr noalias %w, ptr noalias %x0, ptr noalias %u, ptr noalias %p, double %h, i64 %futures, "
    "i64 %steps, i64 %own_u, i64 %own_p, i64 %substeps, i64 %first, i64 %last, "
    "ptr noalias %states, ptr noalias %outputs"
)


def kernel_source(program: Program, stages: Stages, jumps: bool) -> str:
    """LLVM assembly of `run` for blocks first .. last - 1 of the futures.

    Reads x0 (F, S), u (1 or F, N, U), p (1 or F, P + 1); fills states (F, N, S) and outputs
    (F, N, means then readings). `own_u`, `own_p`: 1 where each future has its own.
    """
    return _Kernel(program, stages, jumps).text()


def workspace_doubles(program: Program, jumps: bool) -> int:
    """How many numbers `w` must hold."""
    return sum(_sizes(program, jumps).values()) * LANES


def _sizes(program: Program, jumps: bool) -> dict[str, int]:
    states, slopes = program.sizes["x"], len(program.pieces["slope"])
    return {
        "X": states, "T": states, "U": program.sizes["u"], "P": program.sizes["p"],
        "H": len(program.held(0)) + len(program.held(1)), "K": slopes, "A": slopes,
        "M": slopes - states, "J": states if jumps else 0, "Y": len(program.pieces["read"]),
    }  # fmt: skip


class _Kernel:
    def __init__(self, program: Program, stages: Stages, jumps: bool) -> None:
        self.program, self.stages, self.jumps = program, stages, jumps
        self.size = _sizes(program, jumps)
        self.at: dict[str, int] = {}
        row = 0
        for name, rows in self.size.items():
            self.at[name] = row
            row += rows
        self.lines: list[str] = []
        self.counters: list[str] = []
        self.count = 0

    def text(self) -> str:
        once, held = self.program.held(0), self.program.held(1)
        rows = {k: self.at["H"] + i for i, k in enumerate([*once, *held])}
        places = {**self.at, "H1": self.at["H"] + len(once)}
        writer, pieces = NodeWriter(self.program, rows, places), self.program.pieces
        parts = [
            writer.function("once", once, 0, "H"),
            writer.function("hold", held, 1, "H1"),
            writer.function("slope", pieces["slope"], 2, "K"),
            writer.function("read", pieces["read"], 2, "Y"),
        ]
        if self.jumps:
            parts.append(writer.function("jump", pieces["jumped"], 2, "J"))
        return "\n".join([*parts, helpers(self.program), self._run()])

    def _run(self) -> str:
        h, count = self._spread("%h"), self._spread(self._new("sitofp i64 %substeps to double"))
        with self._loop("%first", "%last") as block:
            base = self._new(f"mul i64 {block}, {LANES}")
            self._gather(base, "X", "%x0", "1", None)
            self._gather(base, "P", "%p", "%own_p", None)
            self._call("once")
            with self._loop("0", "%steps") as k:
                self._gather(base, "U", "%u", "%own_u", k)
                self._call("hold")
                with self._rows("M") as i:
                    self._store("M", i, splat(0.0))
                with self._loop("0", "%substeps"):
                    self._substep(h)
                self._read(base, k, count)
        body = "\n".join(f"  {line}" for line in [*self.counters, *self.lines])
        return f"define void @run({ARGUMENTS}) {{\n{body}\n  ret void\n}}\n"

    def _substep(self, h: str) -> None:
        self._copy("T", "X")
        for stage, (node, weight) in enumerate(
            zip(self.stages.nodes, self.stages.weights, strict=True)
        ):
            if stage:
                reach = self._arithmetic("fmul", splat(node), h)
                with self._rows("X") as i:
                    moved = self._arithmetic("fmul", reach, self._load("K", i))
                    self._store("T", i, self._arithmetic("fadd", self._load("X", i), moved))
            self._call("slope")
            with self._rows("K") as i:
                term = self._arithmetic("fmul", splat(weight), self._load("K", i))
                if stage:
                    term = self._arithmetic("fadd", self._load("A", i), term)
                self._store("A", i, term)
        with self._rows("X") as i:
            moved = self._arithmetic("fmul", h, self._load("A", i))
            self._store("X", i, self._arithmetic("fadd", self._load("X", i), moved))
        with self._rows("M") as i:
            mean = self._load("A", i, self.size["X"])
            self._store("M", i, self._arithmetic("fadd", self._load("M", i), mean))
        if self.jumps:
            self._copy("T", "X")
            self._call("jump")
            self._copy("X", "J")

    def _read(self, base: str, k: str, substeps: str) -> None:
        self._copy("T", "X")
        self._call("read")
        with self._rows("M") as i:
            self._store("M", i, self._arithmetic("fdiv", self._load("M", i), substeps))
        means, width = self.size["M"], self.size["M"] + self.size["Y"]
        self._scatter(base, k, "X", "%states", self.size["X"], 0)
        self._scatter(base, k, "M", "%outputs", width, 0)
        self._scatter(base, k, "Y", "%outputs", width, means)

    def _copy(self, to: str, source: str) -> None:
        with self._rows(to) as i:
            self._store(to, i, self._load(source, i))

    def _gather(self, base: str, section: str, source: str, own: str, k: str | None) -> None:
        """w[section][i, lane] = source[future (, k), i]; futures past the last repeat it.

        Where the futures share one row (own = 0) it is read once and spread.
        """
        lanes = self._new(f"mul i64 {own}, {LANES}")
        with self._loop("0", lanes) as lane:
            beyond, last = self._new(f"add i64 {base}, {lane}"), self._new("sub i64 %futures, 1")
            inside = self._new(f"icmp slt i64 {beyond}, {last}")
            row = self._step_row(self._new(f"select i1 {inside}, i64 {beyond}, i64 {last}"), k)
            with self._rows(section) as i:
                place = self._element(source, row, self.size[section], 0, i)
                value = self._new(f"load double, ptr {place}, align 8")
                self.lines.append(
                    f"store double {value}, ptr {self._lane(section, i, lane)}, align 8"
                )
        others = self._new(f"sub i64 1, {own}")
        with self._loop("0", self._new(f"mul i64 {others}, {self.size[section]}")) as i:
            place = self._element(source, k or "0", self.size[section], 0, i)
            self._store(section, i, self._spread(self._new(f"load double, ptr {place}, align 8")))

    def _step_row(self, future: str, k: str | None) -> str:
        """The row of a (F, N, width) array, or of a (F, width) one."""
        if k is None:
            return future
        first = self._new(f"mul i64 {future}, %steps")
        return self._new(f"add i64 {first}, {k}")

    def _scatter(self, base: str, k: str, section: str, to: str, width: int, offset: int) -> None:
        """to[future, k, offset + i] = w[section][i, lane] for the lanes that are futures."""
        rest = self._new(f"sub i64 %futures, {base}")
        full = self._new(f"icmp sgt i64 {rest}, {LANES}")
        lanes = self._new(f"select i1 {full}, i64 {LANES}, i64 {rest}")
        with self._loop("0", lanes) as lane:
            row = self._step_row(self._new(f"add i64 {base}, {lane}"), k)
            with self._rows(section) as i:
                value = self._new(f"load double, ptr {self._lane(section, i, lane)}, align 8")
                place = self._element(to, row, width, offset, i)
                self.lines.append(f"store double {value}, ptr {place}, align 8")

    def _element(self, array: str, row: str, width: int, offset: int, i: str) -> str:
        start = self._new(f"mul i64 {row}, {width}")
        place = self._new(f"add i64 {start}, {offset}")
        return self._new(
            f"getelementptr double, ptr {array}, i64 {self._new(f'add i64 {place}, {i}')}"
        )

    def _lane(self, section: str, i: str, lane: str) -> str:
        row = self._new(f"add i64 {i}, {self.at[section]}")
        place = self._new(f"mul i64 {row}, {LANES}")
        return self._new(
            f"getelementptr double, ptr %w, i64 {self._new(f'add i64 {place}, {lane}')}"
        )

    def _row(self, section: str, i: str, offset: int) -> str:
        row = self._new(f"add i64 {i}, {self.at[section] + offset}")
        return self._new(f"getelementptr {VECTOR}, ptr %w, i64 {row}")

    def _load(self, section: str, i: str, offset: int = 0) -> str:
        return self._new(f"load {VECTOR}, ptr {self._row(section, i, offset)}, align 64")

    def _store(self, section: str, i: str, value: str) -> None:
        place = self._row(section, i, 0)
        self.lines.append(f"store {VECTOR} {value}, ptr {place}, align 64")

    def _arithmetic(self, how: str, a: str, b: str) -> str:
        return self._new(f"{how} {VECTOR} {a}, {b}")

    def _spread(self, scalar: str) -> str:
        one = self._new(f"insertelement {VECTOR} undef, double {scalar}, i32 0")
        return self._new(
            f"shufflevector {VECTOR} {one}, {VECTOR} undef, <{LANES} x i32> zeroinitializer"
        )

    def _call(self, name: str) -> None:
        self.lines.append(f"call void @{name}(ptr %w)")

    def _new(self, text: str) -> str:
        self.count += 1
        self.lines.append(f"%r{self.count} = {text}")
        return f"%r{self.count}"

    def _rows(self, section: str) -> AbstractContextManager[str]:
        return self._loop("0", str(self.size[section]))

    @contextmanager
    def _loop(self, first: str, end: str) -> Iterator[str]:
        """for i in range(first, end): the counter lives on the stack until LLVM lifts it."""
        self.count += 1
        tag = f"l{self.count}"
        self.counters.append(f"%{tag} = alloca i64")
        self.lines += [f"store i64 {first}, ptr %{tag}", f"br label %{tag}.test", f"{tag}.test:"]
        i = self._new(f"load i64, ptr %{tag}")
        more = self._new(f"icmp slt i64 {i}, {end}")
        self.lines += [f"br i1 {more}, label %{tag}.body, label %{tag}.end", f"{tag}.body:"]
        yield i
        self.lines += [
            f"store i64 {self._new(f'add i64 {i}, 1')}, ptr %{tag}",
            f"br label %{tag}.test", f"{tag}.end:",
        ]  # fmt: skip
