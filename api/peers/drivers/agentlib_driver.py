"""The MPC module of AgentLib-MPC (github.com/RWTH-EBC/AgentLib-MPC, BSD) on the four tanks, with
the settings that it ships with: collocation, IPOPT with its looser tolerances, the last solution
as it was for a start; bounds hard.

Its objective is the integral over the horizon in seconds, not a sum over stages, and it squares a
change penalty's weight: the weight is converted, so that tracking and moves keep their proportion.
"""

import logging
from importlib.metadata import version
from typing import Any

import casadi
import pandas as pd
from agentlib.core import Agent, Environment
from agentlib_mpc.models.casadi_model import (
    CasadiInput,
    CasadiModel,
    CasadiModelConfig,
    CasadiParameter,
    CasadiState,
)
from line_server import Ask, serve
from tanks import checked_rates, rates

LEVELS = ("h1", "h2", "h3", "h4")
PUMPS = ("v1", "v2")
TARGETS = ("r1", "r2")
SYMBOLS = ("k1", "k2", "gamma1", "gamma2", "q1", "q2", "move")


class TanksConfig(CasadiModelConfig):  # type: ignore[misc, unused-ignore]
    """Variables of the tanks; values come with the module's configuration."""

    inputs: list[CasadiInput] = [  # noqa: RUF012 (pydantic copies it)
        CasadiInput(name=n, value=3.0) for n in (*PUMPS, *TARGETS)
    ]
    states: list[CasadiState] = [  # noqa: RUF012
        CasadiState(name=n, value=10.0) for n in LEVELS
    ]
    parameters: list[CasadiParameter] = [  # noqa: RUF012
        CasadiParameter(name=n, value=1.0) for n in SYMBOLS
    ]


class Tanks(CasadiModel):  # type: ignore[misc, unused-ignore]
    """The four tanks with squared distance from the targets and squared moves."""

    config: TanksConfig

    def setup_system(self) -> Any:
        """Rates and objective."""
        h, v, r = ([getattr(self, n) for n in names] for names in (LEVELS, PUMPS, TARGETS))
        p = {n: getattr(self, n) for n in SYMBOLS[:4]}
        for level, rate in zip(h, rates(h, v, p, casadi.sqrt), strict=True):
            level.ode = rate
        off = [
            self.create_sub_objective((h[i] - r[i]) ** 2, weight=w, name=f"off{i + 1}")
            for i, w in enumerate((self.q1, self.q2))
        ]
        moves = [self.create_change_penalty(x, weight=self.move, name=f"d{x.name}") for x in v]
        return self.create_combined_objective(*off, *moves)


def make(problem: dict[str, Any]) -> tuple[Ask, dict[str, Any]]:
    """One agent with the MPC module, stepped by hand as its process would."""
    logging.getLogger().setLevel(logging.ERROR)
    values = problem["parameters"] | {
        "q1": problem["track"][0], "q2": problem["track"][1],
        "move": (problem["step_s"] * problem["move"]) ** 0.5,
    }  # fmt: skip
    bounds = zip(problem["low"], problem["high"], strict=True)
    ranges = zip(problem["least"], problem["greatest"], strict=True)
    module = {
        "module_id": "mpc", "type": "agentlib_mpc.mpc",
        "optimization_backend": {
            "type": "casadi", "model": {"type": {"file": __file__, "class_name": "Tanks"}},
            "solver": {"name": "ipopt"},
        },
        "time_step": problem["step_s"], "prediction_horizon": problem["stages"],
        "parameters": [{"name": n, "value": values[n]} for n in SYMBOLS],
        "inputs": [{"name": n, "value": 12.0, "interpolation_method": "previous"}
                   for n in TARGETS],
        "controls": [{"name": n, "value": u, "lb": low, "ub": high}
                     for n, u, (low, high) in zip(PUMPS, problem["u0"], ranges, strict=True)],
        "states": [{"name": n, "value": x, "lb": low, "ub": high}
                   for n, x, (low, high) in zip(LEVELS, problem["x0"], bounds, strict=True)],
    }  # fmt: skip
    agent = Agent(env=Environment(config={"rt": False}), config={"id": "a", "modules": [module]})
    mpc: Any = agent.get_module("mpc")
    backend, kept = mpc.optimization_backend, {}
    solve = backend.solve

    def watched(now: float, variables: Any) -> Any:
        kept["result"] = solve(now, variables)
        return kept["result"]

    backend.solve = watched
    times = [problem["step_s"] * j for j in range(problem["stages"] + 1)]

    def ask(question: dict[str, Any]) -> dict[str, Any]:
        for name, value in zip(LEVELS, question["x"], strict=True):
            mpc.set(name, value)
        for i, name in enumerate(TARGETS):
            column = [row[i] for row in question["target"]]
            mpc.set(name, pd.Series([*column, column[-1]], index=times))
        mpc.do_step()
        stats = kept["result"].stats
        u = [float(mpc.get_value(n)) for n in PUMPS]
        return {"ok": bool(stats["success"]), "status": str(stats["return_status"]), "u": u}

    return ask, {"version": version("agentlib-mpc"), "rates": checked_rates(problem)}


if __name__ == "__main__":
    serve(make)
