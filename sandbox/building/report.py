"""The report of a building's fit: what it was tried on, how it did, and the verdict."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sandbox.building.errors import row_errors
from sandbox.building.excitation import judge
from sandbox.building.predict import input_table, states_of, window_rows
from sandbox.building.rows import Rows
from sandbox.building.skill import (
    HORIZONS_H,
    input_of,
    now_and_recent,
    pooled,
    skill_table,
    try_out,
)
from sandbox.building.steps import responses, summary
from sandbox.building.twin import BuildingTwin
from sandbox.building.zone_fit import ZoneFit
from sandbox.model_errors import TEMPERATURE, ModelErrors, draw, to_report

Array = NDArray[np.float64]
COVERAGE_STRIDE_H = 6.0
COVERAGE_DRAWS = 60
RESOLUTION_K = 0.1  # what a sensor lets anybody claim
LEAST_STEPS = 5
WRONG_SIGN = 0.2
GAIN_OFF = 0.3  # the stated share by which the response to a setpoint step may be off
# What a twin must beat at the longest horizon: column, its words.
OTHERS = (("persistence", "persistence"), ("linear", "linear black box"))
# What is compared at the longest horizon: suffix of the signals, its words.
POOLS = ((".temp_degc", "zone temperatures"), ("hvac.energy_kwh", "energy of all units"))


def assess(
    twin: BuildingTwin, rows: Rows, first: int, split: int, errors: ModelErrors,
    fits: dict[str, ZoneFit], seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Try the twin on rows from `split` on; everything that the report says."""
    trial = try_out(twin, rows, errors, split, len(rows))
    table = skill_table(trial, rows, split)
    steps = summary(responses(twin, rows, split, len(rows)))
    excitation = judge(rows, fits, slice(first, split))
    good, reasons = verdict(table, steps, excitation, rows.inferred)
    return {
        "fit_for_control": good,
        "reasons": reasons,
        "skill": table,
        "pooled_24h": pooled_table(table),
        "setpoint_steps": steps,
        "excitation": excitation,
        "heat": "inferred from power and nominal COPs" if rows.inferred else "metered",
        "coverage_90": coverage(twin, rows, split, errors, seed),
        "coverage_90_parameters": coverage(twin, rows, split, None, seed),
        "model_errors": to_report(errors),
        **innovations(twin, rows, first, split),
    }


def pooled_table(table: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Errors at the longest horizon over all zones, and of all units' energy."""
    columns = ("twin", "persistence", "seasonal", "linear")
    return {
        words: {c: pooled(table, suffix, max(HORIZONS_H), c) for c in columns}
        for suffix, words in POOLS
    }


def verdict(
    table: list[dict[str, Any]], steps: dict[str, Any], excitation: dict[str, Any], inferred: bool
) -> tuple[bool, list[str]]:
    """Fit for control, and why or why not.

    1. At 24 h the zones together and the units' energy are predicted better than by persistence
       and by the linear black box. 2. No zone is worse than persistence at 24 h. 3. Excitation is
       not poor. 4. Setpoint steps, where there are enough, have the right sign and size.
    """
    against, aside = [], []
    for words, row in pooled_table(table).items():
        against += [
            f"{words} at 24 h: error {row['twin']:.3g}, {called} {row[other]:.3g}"
            for other, called in OTHERS
            if not row["twin"] < row[other]
        ]
    against += [
        f"{r['signal']} at 24 h: error {r['twin']:.3g}, persistence {r['persistence']:.3g}"
        for r in table
        if r["signal"].endswith(".temp_degc")
        and r["horizon_h"] == max(HORIZONS_H)
        and not r["twin"] <= max(r["persistence"], RESOLUTION_K)
    ]
    if excitation["verdict"] == "poor":
        against += [f"excitation is poor: {s}" for s in excitation["sentences"]]
    against += _step_reasons(steps)
    if steps["steps"] < LEAST_STEPS:
        aside.append(f"only {steps['steps']} setpoint steps on the held-back days to judge by")
    if inferred:
        aside.append("zone heat is inferred from power and nominal COPs, not metered")
    if excitation["verdict"] == "fair":
        aside += [f"excitation is fair: {s}" for s in excitation["sentences"]]
    if against:
        return False, against + aside
    best = "better than persistence and the linear black box at 24 h on the held-back days"
    return True, [best, *aside]


def _step_reasons(steps: dict[str, Any]) -> list[str]:
    if steps["steps"] < LEAST_STEPS:
        return []
    found = []
    if steps["wrong_sign_share"] > WRONG_SIGN:
        found.append(
            f"{steps['wrong_sign_share']:.0%} of setpoint steps move the twin the wrong way"
        )
    if not 1.0 - GAIN_OFF <= steps["gain_ratio"] <= 1.0 + GAIN_OFF:
        found.append(
            f"responses to setpoint steps are {steps['gain_ratio']:.2f} times the real ones"
        )
    return found


def coverage(
    twin: BuildingTwin, rows: Rows, split: int, errors: ModelErrors | None, seed: int
) -> dict[str, float]:
    """Share of held-back samples inside the 90 % band that draws span, by signal.

    Draws differ by parameters and, where given, by days of the twin's own errors; where those hold
    what the parameters get wrong, by them alone.
    """
    length = rows.steps(max(HORIZONS_H))
    starts = rows.starts(split, len(rows), length, rows.steps(COVERAGE_STRIDE_H))
    states, table = states_of(twin, rows), input_table(twin, rows)
    starts = starts[np.isfinite(states[starts]).all(axis=1)]
    generator = np.random.default_rng(np.random.SeedSequence(seed))
    windows = table[window_rows(starts, length)]
    paths = _paths(twin, rows, errors, starts, length, generator)
    inputs, names = twin.model.input_names, twin.state_names
    air = [names.index(f"{z}.air") for z in twin.structure.order]
    drawn = []
    for k in range(COVERAGE_DRAWS):
        acting = windows.copy()
        for name, values in paths.items():
            if not name.endswith(TEMPERATURE):
                acting[:, :, inputs.index(input_of(name))] += values[k]
        sampled = twin.parameters.sample(generator)
        exact = errors is not None and errors.of_parameters
        found, _ = twin.run_table(states[starts], acting, None if exact else sampled)
        after = [paths.get(f"{z}{TEMPERATURE}") for z in twin.structure.order]
        left = [np.zeros(found.shape[:2]) if a is None else a[k] for a in after]
        drawn.append(found[:, :, air] + np.stack(left, axis=2))
    low, high = np.quantile(np.array(drawn), (0.05, 0.95), axis=0)
    shares = {}
    for i, zone in enumerate(twin.structure.order):
        actual = rows.temps[zone][window_rows(starts, length)]
        inside = (actual >= low[:, :, i] - RESOLUTION_K) & (actual <= high[:, :, i] + RESOLUTION_K)
        shares[f"{zone}.temp_degc"] = float(inside.mean())
    return shares


def _paths(
    twin: BuildingTwin, rows: Rows, errors: ModelErrors | None, starts: NDArray[np.int64],
    length: int, generator: np.random.Generator,
) -> dict[str, Array]:  # fmt: skip
    """Error paths by name, (draws, W, length), bent to the present; {} without errors."""
    if errors is None or not errors.days:
        return {}
    found = []
    for now, recent in now_and_recent(twin, rows, starts):
        uniform = generator.random(COVERAGE_DRAWS)
        found.append(draw(errors, uniform, now, rows.step_s, length, recent))
    return {n: np.stack([f[n] for f in found], axis=1) for n in found[0]}


def innovations(twin: BuildingTwin, rows: Rows, first: int, split: int) -> dict[str, Any]:
    """One-step errors on the training rows with metered heat: spread, and noise by kind.

    Measurement noise makes neighbouring errors correlate negatively, by its variance: R =
    -cov(e_k, e_k+1), Q = var(e) - 2 R, each kept above a hundredth of the error's variance.
    """
    spread: dict[str, float] = {}
    mean: dict[str, float] = {}
    process: dict[str, float] = {}
    measurement: dict[str, float] = {}
    states = np.nan_to_num(states_of(twin, rows), nan=20.0)
    table = input_table(twin, rows, given_heat=True)
    found, _ = twin.run_table(states[:-1], table[1:, None, :])
    for zone in twin.structure.order:
        signal, i = f"{zone}.temp_degc", twin.state_names.index(f"{zone}.air")
        error = np.concatenate([[np.nan], rows.temps[zone][1:] - found[:, 0, i]])
        error = np.where(rows.usable, error, np.nan)[first:split]
        good = error[np.isfinite(error)]
        centred = good - good.mean()
        total = float(centred @ centred) / len(centred)
        noise = max(-float(centred[1:] @ centred[:-1]) / len(centred), total / 100.0)
        mean[signal], spread[signal] = float(good.mean()), float(good.std())
        measurement[signal] = noise**0.5
        process[signal] = max(total - 2.0 * noise, total / 100.0) ** 0.5
    for name, values in row_errors(twin, rows).items():
        if name.endswith(".power_error_kw"):
            part = values[first:split]
            signal = name.replace("_error", "")
            mean[signal], spread[signal] = float(np.nanmean(part)), float(np.nanstd(part))
    return {
        "residual_std": spread,
        "residual_mean": mean,
        "process_std": process,
        "measurement_std": measurement,
    }
