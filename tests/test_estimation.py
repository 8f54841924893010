"""The state estimate follows the plant, shrugs off glitches and keeps the evidence."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from graph.errors import InputError
from graph.plant import Readings
from graph.signals import Quality, Reading
from graph.sitepack import load_site
from graph.snapshot import History
from sandbox.energy_hub import HubTwin
from sandbox.estimation import estimate
from sandbox.parameters import initial_parameters

SITE = load_site(Path("scenarios/microgrid")).site
TWIN = HubTwin(SITE, initial_parameters(SITE))
START = datetime(2026, 1, 19, 8, tzinfo=UTC)
N = 96


def world(seed: int = 2, steps: int = N) -> tuple[dict[str, np.ndarray], np.ndarray]:
    g = np.random.default_rng(seed)
    hour = np.arange(1, steps + 1) / 4
    sun = np.maximum(0.0, np.sin((hour - 7) / 10 * np.pi)) * (hour < 17)
    w = {
        "outdoor.temp_degc": 5 + 4 * np.sin((hour - 9) / 24 * 2 * np.pi),
        "outdoor.ghi_w_m2": 400 * sun,
        "pv.power_kw": 25 * sun,
        "building.power_kw": 8 + g.uniform(-1, 1, steps),
    }
    x0 = np.array([[21, 19.0, 21, 22.0, 44, 50.0]])  # masses far from their air
    u = {"zone_north.setpoint_degc": np.repeat([19.5, 22.0], steps // 2)}
    out = TWIN.simulate(x0, w, u, START)
    columns = {s.id: out.traces[s.id][0].copy() for s in SITE.signals}
    for signal, std in (("zone_north.temp_degc", 0.03), ("zone_south.temp_degc", 0.03),
                        ("tank.temp_degc", 0.1), ("battery.soc_pct", 0.1)):  # fmt: skip
        columns[signal] += g.normal(0, std, steps)
    return columns, out.final_state[0]


def history(columns: dict[str, np.ndarray]) -> History:
    signals = {
        s: tuple(None if np.isnan(v) else float(v) for v in column) for s, column in columns.items()
    }
    return History(start=START + timedelta(minutes=15), step_s=900, signals=signals)


def test_the_estimate_finds_hidden_masses_within_its_own_spread() -> None:
    columns, final = world()
    found = estimate(TWIN, history(columns))
    std = np.sqrt(np.diag(np.array(found.covariance)))
    error = np.abs(np.array(found.mean) - final)
    assert (error < 4 * std + 0.05).all(), dict(zip(found.names, error, strict=True))
    assert error[1] < 0.5  # it began 2 K off
    assert std[1] < 1.0


def test_the_covariance_is_symmetric_and_positive_definite() -> None:
    columns, _ = world(3)
    P = np.array(estimate(TWIN, history(columns)).covariance)
    assert np.array_equal(P, P.T)
    assert np.linalg.eigvalsh(P).min() > 0


def test_missing_samples_are_skipped_and_leave_more_doubt() -> None:
    columns, final = world()
    whole = estimate(TWIN, history(columns))
    columns["tank.temp_degc"][60:] = np.nan
    columns["hp.heat_kw"][70:80] = np.nan
    columns["outdoor.temp_degc"][40:44] = np.nan
    holed = estimate(TWIN, history(columns))
    assert holed.covariance[4][4] > 3 * whole.covariance[4][4]
    assert abs(holed.mean[4] - final[4]) < 4
    assert len(holed.residuals["tank.temp_degc"]) == 48


def test_a_glitch_is_kept_as_evidence_and_not_believed() -> None:
    columns, final = world()
    columns["zone_south.temp_degc"][-1] += 6.0
    found = estimate(TWIN, history(columns))
    assert abs(found.mean[2] - final[2]) < 0.3
    assert found.residuals["zone_south.temp_degc"][-1] > 5.0
    scaled = (
        found.residuals["zone_south.temp_degc"][-1] / found.residual_std["zone_south.temp_degc"]
    )
    assert scaled > 10


def test_a_lasting_shift_is_believed_after_an_hour() -> None:
    columns, final = world()
    columns["zone_south.temp_degc"][-8:] -= 3.0
    found = estimate(TWIN, history(columns))
    assert abs(found.mean[2] - (final[2] - 3.0)) < 0.6


def test_a_heat_pump_that_does_not_follow_leaves_a_residual() -> None:
    columns, _ = world()
    columns["hp.power_set_kw"] = np.full(N, 9.0)
    columns["hp.power_kw"][-4:] = 0.0
    found = estimate(TWIN, history(columns))
    assert found.residuals["hp.power_kw"][-4:] == (-9.0,) * 4


def test_a_newer_image_moves_the_estimate_and_a_bad_one_does_not() -> None:
    columns, _ = world()
    base = estimate(TWIN, history(columns))
    later = START + timedelta(minutes=15 * N + 5)
    expected = estimate(TWIN, history(columns), Readings(time=later, values={})).mean[4]

    def image(quality: Quality) -> Readings:
        warmer = Reading(value=expected + 0.3, time=later, quality=quality)
        return Readings(time=later, values={"tank.temp_degc": warmer})

    good = estimate(TWIN, history(columns), image(Quality.GOOD))
    bad = estimate(TWIN, history(columns), image(Quality.BAD))
    assert bad.mean[4] == expected < good.mean[4]
    assert good.covariance[4][4] < bad.covariance[4][4]
    assert good.residuals == base.residuals


def test_a_state_that_was_never_seen_is_an_error_with_its_name() -> None:
    columns, _ = world()
    columns["battery.soc_pct"][:] = np.nan
    with pytest.raises(InputError, match=r"battery\.soc_pct has no good sample"):
        estimate(TWIN, history(columns))
    columns, _ = world()
    columns["outdoor.temp_degc"][:] = np.nan
    with pytest.raises(InputError, match=r"outdoor\.temp_degc"):
        estimate(TWIN, history(columns))
