"""The neural ODE: a field that was told nothing of the plant, by fixed Runge-Kutta steps."""

import math

from sandbox.surrogates.train_loop import Stage, Training, window_steps

SUBSTEP_S = 300.0
MOST_SUBSTEPS = 4


def neural_ode_training(step_s: float, effort: float = 1.0) -> Training:
    """What is done at `effort` 1; fewer updates in proportion below it."""
    return Training(
        kind="neural-ode",
        stages=(
            Stage(1, max(1, round(2000 * effort)), 512, 3e-3),
            Stage(window_steps(step_s), max(1, round(500 * effort)), 128, 1e-3),
        ),
        hidden=64,
        substeps=min(MOST_SUBSTEPS, max(1, math.ceil(step_s / SUBSTEP_S))),
    )
