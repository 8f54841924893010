"""FMUs for tests: small models in C behind FMI 2.0 and 3.0 (`data/fmi/unit.c`), compiled here."""

import importlib.util
import platform
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).parent / "data" / "fmi" / "unit.c"
COMPILER = shutil.which("gcc") or shutil.which("cc")
TOKEN = "{5a1e0b4e-unit}"
ON_LINUX = sys.platform.startswith("linux") and platform.machine() == "x86_64"


def can_build() -> bool:
    """Whether this machine has a C compiler and FMPy, whose headers of FMI are used."""
    return ON_LINUX and COMPILER is not None and importlib.util.find_spec("fmpy") is not None


@dataclass(frozen=True)
class Variable:
    """One variable; its place in the model's list is its value reference."""

    name: str
    causality: str = "local"
    start: float | None = None
    unit: str | None = None
    derivative_of: str | None = None
    depends: tuple[str, ...] | None = ()  # of an output: its inputs; None: the FMU is silent
    variability: str = "continuous"


@dataclass(frozen=True)
class Model:
    """A model of `unit.c`: its macro, its variables, the names of its states."""

    macro: str
    variables: tuple[Variable, ...]
    states: tuple[str, ...] = ()
    indicators: int = 0
    units: dict[str, str] = field(default_factory=dict)  # name -> attributes of <BaseUnit>


V, M, FLOW = (
    Variable,
    {"m": 'm="1"'},
    {"m3/s": 'm="3" s="-1"', "l/s": 'm="3" s="-1" factor="0.001"'},
)
UPPER = Model(
    "UPPER",
    (
        V("q_feed", "input", 0.0, "m3/s"), V("q_out", "input", 0.0, "m3/s"),
        V("area", "parameter", 2.0, variability="fixed"), V("h", "output", 1.0, "m"),
        V("der(h)", derivative_of="h"),
    ),
    ("h",), units=M | FLOW,
)  # fmt: skip
LOWER = Model(
    "LOWER",
    (
        V("h_up", "input", 0.0, "m"), V("area", "parameter", 1.0, variability="fixed"),
        V("k", "parameter", 0.02, variability="fixed"),
        V("k_out", "parameter", 0.01, variability="fixed"), V("h", "output", 0.5, "m"),
        V("der(h)", derivative_of="h"), V("q", "output", None, "m3/s", depends=("h_up",)),
    ),
    ("h",), units=M | FLOW,
)  # fmt: skip
VANDERPOL = Model(
    "VANDERPOL",
    (
        V("mu", "parameter", 1.0, variability="fixed"), V("x0", "output", 2.0),
        V("der(x0)", derivative_of="x0"), V("x1", "output", 0.0), V("der(x1)", derivative_of="x1"),
    ),
    ("x0", "x1"),
)  # fmt: skip
BALL = Model(
    "BALL",
    (
        V("h", "output", 1.0), V("der(h)", derivative_of="h"), V("v", "output", 0.0),
        V("der(v)", derivative_of="v"), V("e", "parameter", 0.7, variability="fixed"),
        V("bounces", "output", variability="discrete"),
        V("ticks", "output", variability="discrete"),
    ),
    ("h", "v"), indicators=1,
)  # fmt: skip
GAIN = Model("GAIN", (V("u", "input", 0.0), V("y", "output", None, depends=("u",))))
ROGUE = Model(
    "ROGUE",
    (
        V("mode", "parameter", 0.0, variability="fixed"), V("u", "input", 0.0),
        V("y", "output", None, depends=("u",)),
    ),
)  # fmt: skip
KINDS = {"co_simulation": "CoSimulation", "model_exchange": "ModelExchange"}


def build(
    folder: Path, model: Model, fmi: int = 2, *, kind: str = "co_simulation", can_keep: bool = True,
    can_pack: bool = True, variable_step: bool = True, name: str = "",
) -> Path:  # fmt: skip
    """Compile `model` (once a folder) and pack it as an FMU."""
    identifier = model.macro.lower()
    library = folder / f"{identifier}{fmi}.so"
    if not library.exists():
        headers = Path(importlib.util.find_spec("fmpy").origin).parent / "c-code"
        subprocess.run(
            [COMPILER, "-O1", "-shared", "-fPIC", "-fvisibility=hidden", f"-DFMI={fmi}",
             f"-DMODEL_{model.macro}", f'-DTOKEN="{TOKEN}"', f"-I{headers}", str(SOURCE),
             "-lm", "-o", str(library)],
            check=True, capture_output=True,
        )  # fmt: skip
    flags = {"keep": can_keep, "pack": can_keep and can_pack, "vary": variable_step}
    write = description2 if fmi == 2 else description3
    place = "linux64" if fmi == 2 else "x86_64-linux"
    file = folder / f"{name or identifier}.fmu"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("modelDescription.xml", write(model, KINDS[kind], identifier, flags))
        archive.write(library, f"binaries/{place}/{identifier}.so")
    return file


def description2(model: Model, kind: str, identifier: str, flags: dict[str, bool]) -> str:
    """`modelDescription.xml` of FMI 2.0."""
    names = [v.name for v in model.variables]
    rows = []
    for i, v in enumerate(model.variables):
        of = f' derivative="{names.index(v.derivative_of) + 1}"' if v.derivative_of else ""
        rows.append(
            f'<ScalarVariable valueReference="{i}" {_common(v)}><Real{_value(v)}{of}/>'
            f"</ScalarVariable>"
        )
    outputs = "".join(
        f'<Unknown index="{i}"{_depends(v, names, 1)}/>'
        for i, v in enumerate(model.variables, 1) if v.causality == "output"
    )  # fmt: skip
    slopes = "".join(
        f'<Unknown index="{i}"/>' for i, v in enumerate(model.variables, 1) if v.derivative_of
    )
    initial = "".join(
        f'<Unknown index="{i}"/>' for i, v in enumerate(model.variables, 1) if _is_calculated(v)
    )
    structure = "".join(
        f"<{name}>{rows}</{name}>"
        for name, rows in (
            ("Outputs", outputs), ("Derivatives", slopes), ("InitialUnknowns", initial)
        ) if rows
    )  # fmt: skip
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><fmiModelDescription fmiVersion="2.0" '
        f'modelName="{identifier}" guid="{TOKEN}" numberOfEventIndicators="{model.indicators}">'
        f"{_interface(kind, identifier, flags, 'FMUstate')}{_units(model)}"
        f"<ModelVariables>{''.join(rows)}</ModelVariables>"
        f"<ModelStructure>{structure}</ModelStructure></fmiModelDescription>"
    )


def description3(model: Model, kind: str, identifier: str, flags: dict[str, bool]) -> str:
    """`modelDescription.xml` of FMI 3.0."""
    names = [v.name for v in model.variables]
    rows = ['<Float64 name="time" valueReference="99" causality="independent"/>']
    parts: dict[str, list[str]] = {
        "Output": [], "ContinuousStateDerivative": [], "InitialUnknown": [],
    }  # fmt: skip
    for i, v in enumerate(model.variables):
        of = f' derivative="{names.index(v.derivative_of)}"' if v.derivative_of else ""
        rows.append(f'<Float64 valueReference="{i}" {_common(v)}{_value(v)}{of}/>')
        if v.causality == "output":
            parts["Output"].append(f'<Output valueReference="{i}"{_depends(v, names, 0)}/>')
        if v.derivative_of:
            parts["ContinuousStateDerivative"].append(
                f'<ContinuousStateDerivative valueReference="{i}"/>'
            )
        if _is_calculated(v):
            parts["InitialUnknown"].append(f'<InitialUnknown valueReference="{i}"/>')
    for i in range(model.indicators):
        rows.append(f'<Float64 name="z{i}" valueReference="{90 + i}"/>')
        parts["InitialUnknown"].append(f'<EventIndicator valueReference="{90 + i}"/>')
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><fmiModelDescription fmiVersion="3.0" '
        f'modelName="{identifier}" instantiationToken="{TOKEN}">'
        f"{_interface(kind, identifier, flags, 'FMUState')}{_units(model)}"
        f"<ModelVariables>{''.join(rows)}</ModelVariables>"
        f"<ModelStructure>{''.join(r for found in parts.values() for r in found)}"
        "</ModelStructure></fmiModelDescription>"
    )


def _common(v: Variable) -> str:
    initial = ' initial="exact"' if v.start is not None and v.causality == "output" else ""
    return f'name="{v.name}" causality="{v.causality}" variability="{v.variability}"{initial}'


def _value(v: Variable) -> str:
    start = f' start="{v.start!r}"' if v.start is not None else ""
    return start + (f' unit="{v.unit}"' if v.unit else "")


def _is_calculated(v: Variable) -> bool:
    return v.start is None and (v.causality == "output" or v.derivative_of is not None)


def _depends(v: Variable, names: list[str], base: int) -> str:
    if v.depends is None:
        return ""
    return f' dependencies="{" ".join(str(names.index(d) + base) for d in v.depends)}"'


def _interface(kind: str, identifier: str, flags: dict[str, bool], word: str) -> str:
    step = f' canHandleVariableCommunicationStepSize="{_b(flags["vary"])}"'
    return (
        f'<{kind} modelIdentifier="{identifier}" canGetAndSet{word}="{_b(flags["keep"])}" '
        f'canSerialize{word}="{_b(flags["pack"])}"{step if kind == "CoSimulation" else ""}/>'
    )


def _units(model: Model) -> str:
    defined = "".join(f'<Unit name="{n}"><BaseUnit {a}/></Unit>' for n, a in model.units.items())
    return f"<UnitDefinitions>{defined}</UnitDefinitions>" if defined else ""


def _b(flag: bool) -> str:
    return str(flag).lower()
