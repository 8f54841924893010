"""The physics-informed residual network: the known step, and a small network for the rest."""

from sandbox.surrogates.train_loop import Stage, Training, window_steps

# Energy that appears from nowhere costs as much as a state that is wrong by as much.
BALANCE = 1.0


def residual_training(step_s: float, effort: float = 1.0, *, knows_heat: bool = True) -> Training:
    """What is done at `effort` 1; fewer updates in proportion below it.

    `knows_heat`: whether the known step says what heat does; else there is no balance to keep.
    """
    return Training(
        kind="residual",
        stages=(
            Stage(1, max(1, round(3000 * effort)), 512, 3e-3),
            Stage(window_steps(step_s), max(1, round(1200 * effort)), 128, 1e-3),
        ),
        hidden=64,
        balance=BALANCE if knows_heat else 0.0,
    )
