"""The bench's model written by hand, for comparison: NumPy over futures, and CasADi's own C.

Five rooms in a ring, air and mass each; weather, sun, and radiators that give what is asked within
0 and UA_emit (T_supply - T_air). Ten states, RK4. `definition` is the one that the project rolls
out; the others exist only to be measured against it.
"""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from threading import Thread

import numpy as np
from numpy.typing import NDArray

from sandbox.symbolic.casadi_sx import Expr, casadi, clip, maximum
from sandbox.symbolic.model import Equations, Names, Output, Parameter, SymbolicModel, Variable
from sandbox.symbolic.step import step_function

Array = NDArray[np.float64]
Rival = Callable[[Array, Array, Array], tuple[Array, Array]]
ZONES = 5
PER_ZONE = ("c_air", "c_mass", "ua_out", "ua_mass", "aperture", "into_mass")
SHARED = ("ua_next", "ua_emit", "supply_degc")
GUESS = {"c_air": 0.6, "c_mass": 7.0, "ua_out": 0.09, "ua_mass": 0.8, "aperture": 2.5,
         "into_mass": 0.4, "ua_next": 0.15, "ua_emit": 0.25, "supply_degc": 45.0}  # fmt: skip


def definition() -> SymbolicModel:
    """The model, once. States air0, mass0, air1, ...; parameters by kind, then by zone."""
    names = [f"{kind}{z}" for kind in PER_ZONE for z in range(ZONES)]
    nodes = [f"{node}{z}_degc" for z in range(ZONES) for node in ("air", "mass")]
    return SymbolicModel(
        "five rooms",
        states=tuple(Variable(n, "degC", nominal=20.0) for n in nodes),
        inputs=(Variable("outdoor_degc", "degC"), Variable("ghi_kw_m2", "kW/m2"),
                *(Variable(f"heat{z}_kw", "kW") for z in range(ZONES))),
        parameters=(*(Parameter(n, "-", GUESS[n.rstrip("0123456789")], "log") for n in names),
                    *(Parameter(n, "-", GUESS[n], "log") for n in SHARED)),
        outputs=(Output("heat_kw", "kW", mean=True),),
        equations=_equations,
    )  # fmt: skip


def _equations(x: Names, u: Names, p: Names) -> Equations:
    rates: dict[str, Expr] = {}
    total: Expr = 0.0
    for z in range(ZONES):
        air, mass = x[f"air{z}_degc"], x[f"mass{z}_degc"]
        beside = x[f"air{z - 1 if z else ZONES - 1}_degc"] + x[f"air{(z + 1) % ZONES}_degc"]
        most = maximum(p["ua_emit"] * (p["supply_degc"] - air), 0.0)
        heat = clip(u[f"heat{z}_kw"], 0.0, most)
        sun, inward = p[f"aperture{z}"] * u["ghi_kw_m2"], p[f"ua_mass{z}"] * (air - mass)
        flow = p[f"ua_out{z}"] * (u["outdoor_degc"] - air) + p["ua_next"] * (beside - 2.0 * air)
        flow = flow + heat - inward + (1.0 - p[f"into_mass{z}"]) * sun
        rates[f"air{z}_degc"] = flow / (3600.0 * p[f"c_air{z}"])
        rates[f"mass{z}_degc"] = (inward + p[f"into_mass{z}"] * sun) / (3600.0 * p[f"c_mass{z}"])
        total = total + heat
    return Equations(rates, {"heat_kw": total})


def numpy_rollouts(step_s: float) -> Rival:
    """By hand, all futures at once, zones as the second axis."""

    def slopes(x: Array, u: Array, p: list[Array]) -> tuple[Array, Array]:
        c_air, c_mass, ua_out, ua_mass, aperture, into_mass, ua_next, ua_emit, supply = p
        air, mass = x[:, 0::2], x[:, 1::2]
        beside = np.roll(air, 1, axis=1) + np.roll(air, -1, axis=1)
        most = np.maximum(ua_emit * (supply - air), 0.0)
        heat = np.maximum(np.minimum(u[:, 2:], most), 0.0)
        sun, inward = aperture * u[:, 1:2], ua_mass * (air - mass)
        flow = ua_out * (u[:, 0:1] - air) + ua_next * (beside - 2.0 * air)
        flow = flow + heat - inward + (1.0 - into_mass) * sun
        rate = np.empty_like(x)
        rate[:, 0::2] = flow / c_air
        rate[:, 1::2] = (inward + into_mass * sun) / c_mass
        return rate, heat.sum(axis=1)

    def run(x0: Array, u: Array, p: Array) -> tuple[Array, Array]:
        parts = [p[:, i * ZONES : (i + 1) * ZONES] for i in range(len(PER_ZONE))]
        parts[0], parts[1] = 3600.0 * parts[0], 3600.0 * parts[1]
        parts += [p[:, i : i + 1] for i in range(len(PER_ZONE) * ZONES, p.shape[1])]
        states, heats, x = np.empty((*u.shape[:2], x0.shape[1])), np.empty((*u.shape[:2], 1)), x0
        for k in range(u.shape[1]):
            k1, q1 = slopes(x, u[:, k], parts)
            k2, q2 = slopes(x + step_s / 2 * k1, u[:, k], parts)
            k3, q3 = slopes(x + step_s / 2 * k2, u[:, k], parts)
            k4, q4 = slopes(x + step_s * k3, u[:, k], parts)
            x = x + step_s / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            states[:, k], heats[:, k, 0] = x, (q1 + 2 * q2 + 2 * q3 + q4) / 6
        return states, heats

    return run


DRIVER = """
void rollouts(const double *x0, const double *u, const double *p, long long steps, int nu, int np,
              long long first, long long last, double *states, double *outputs) {
  const double *arg[SIZE_ARG]; double *res[SIZE_RES]; long long iw[SIZE_IW + 1];
  double w[SIZE_W + 1];
  for (long long f = first; f < last; f++) {
    const double *x = x0 + f * 10;
    for (long long k = 0; k < steps; k++) {
      double *to = states + (f * steps + k) * 10;
      arg[0] = x; arg[1] = u + (f * steps + k) * nu; arg[2] = p + f * np;
      res[0] = to; res[1] = outputs + f * steps + k;
      rooms_step(arg, res, iw, w, 0);
      x = to;
    }
  }
}
"""


def c_compiler() -> str | None:
    """A C compiler of this machine, if there is one."""
    return shutil.which("gcc") or shutil.which("cc")


def casadi_c_rollouts(step_s: float, threads: int, folder: Path) -> Rival:
    """CasADi's generated C of the same step, optimised for this processor, in a loop in C."""
    model, compiler = definition(), c_compiler()
    assert compiler is not None
    step = step_function(model, step_s).expand("rooms_step")
    source = casadi().CodeGenerator("step.c")
    source.add(step)
    sizes = {"ARG": step.sz_arg(), "RES": step.sz_res(), "IW": step.sz_iw(), "W": step.sz_w()}
    text = source.dump() + "".join(f"\n#define SIZE_{k} {max(n, 1)}" for k, n in sizes.items())
    (folder / "step.c").write_text(text + DRIVER)
    command = [
        compiler,
        "-O3",
        "-march=native",
        "-shared",
        "-fPIC",
        "step.c",
        "-o",
        "step.so",
        "-lm",
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603
    compiled = ctypes.CDLL(str(folder / "step.so")).rollouts
    number, address, wide = ctypes.c_int, ctypes.c_void_p, ctypes.c_longlong
    compiled.argtypes = [address] * 3 + [wide, number, number, wide, wide] + [address] * 2

    def run(x0: Array, u: Array, p: Array) -> tuple[Array, Array]:
        states, outputs = np.empty((*u.shape[:2], 10)), np.empty((*u.shape[:2], 1))
        given = [a.ctypes.data for a in (x0, u, p)]
        results = (states.ctypes.data, outputs.ctypes.data)
        edges = [len(x0) * i // threads for i in range(threads + 1)]
        workers = [
            Thread(target=compiled,
                   args=(*given, u.shape[1], u.shape[2], p.shape[1], *part, *results))
            for part in pairwise(edges)
        ]  # fmt: skip
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return states, outputs

    return run
