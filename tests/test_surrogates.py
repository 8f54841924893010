"""Surrogates: they speak inside their range only, are refused when touched, and say what they cost.

A small network of one room is shipped (`data/surrogate`), so that everything but training runs
without torch.
"""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from graph.canonical import digest_bytes
from graph.errors import InputError, IntegrityError
from graph.sitepack import load_site
from sandbox.building.twin import BuildingTwin
from sandbox.energy_hub import HubTwin
from sandbox.faults import Fault
from sandbox.parameters import initial_parameters, load_parameters
from sandbox.surrogates.guard import fit_guard
from sandbox.surrogates.manifest import (
    MANIFEST_FILE,
    NETWORK_FILE,
    HorizonError,
    load_manifest,
    save_manifest,
)
from sandbox.surrogates.measure import measure_errors
from sandbox.surrogates.onnx_check import check_network
from sandbox.surrogates.replaced import model_twin, replaced_twin
from sandbox.surrogates.simulator import load_surrogate, surrogate_of
from sandbox.surrogates.surrogate_twin import SurrogateTwin, surrogate_twin
from sandbox.surrogates.training_data import futures_of_twin, usable_rows
from tests.fmu_factory import UPPER, build, can_build
from tests.surrogate_office import DAYS, FOLDER, START, hostile, make_twin, recorded_weather

TWIN = make_twin()
WEATHER = recorded_weather()
STEPS = 96
BEGIN = START + timedelta(days=9)
HEATING, COOLING = "zone_core.heating_setpoint_degc", "zone_core.cooling_setpoint_degc"
AIR, OUTDOOR = "zone_core.temp_degc", "outdoor.temp_degc"


def fresh() -> SurrogateTwin:
    return surrogate_twin(TWIN, FOLDER)


def a_day(futures: int = 6) -> dict[str, object]:
    """Arguments of `simulate`: the same weather, each future with a plan of its own."""
    rows = slice(9 * STEPS, 10 * STEPS)
    w = {s: np.tile(WEATHER.column(s)[rows], (futures, 1)) for s in TWIN.layout.disturbance_signals}
    low = np.linspace(17, 22, futures)[:, None] + np.zeros((1, STEPS))
    low[:, 40:60] += 1.0
    return {"x0": np.full((futures, 2), 20.0) + np.linspace(0, 1, futures)[:, None], "w": w,
            "schedules": {HEATING: low, COOLING: low + 4.0}, "start": BEGIN}  # fmt: skip


# --- in the range ---------------------------------------------------------------------------------


def test_inside_its_range_the_surrogate_shows_what_the_twin_shows_within_its_stated_error() -> None:
    twin, day = fresh(), a_day()
    ours, theirs = twin.simulate(**day), TWIN.simulate(**day)
    assert (twin.usage.futures, twin.usage.replaced) == (6, 0)
    assert ours.traces.keys() == theirs.traces.keys()
    assert ours.states.keys() == theirs.states.keys()
    worst = max(r.upper for r in twin.surrogate.manifest.errors if r.signal == AIR)
    error = ours.traces[AIR] - theirs.traces[AIR]
    assert 0.0 < float(np.sqrt(np.mean(error**2))) < 2 * worst
    t = ours.traces
    np.testing.assert_allclose(
        t["grid.power_kw"], t["building.power_kw"] + t["unit_core.power_kw"], rtol=1e-12
    )


def test_errors_on_futures_that_nobody_has_seen_keep_the_stated_limits() -> None:
    replaced = replaced_twin(TWIN)
    surrogate = load_surrogate(FOLDER, replaced)
    stated = {(r.signal, r.horizon_h): r for r in surrogate.manifest.errors}
    generator = np.random.default_rng(20260)
    unseen = futures_of_twin(TWIN, replaced, WEATHER, generator, 40, kept=True)
    limits = {k: (r.limit, r.basis) for k, r in stated.items() if r.limit is not None}
    found = measure_errors(surrogate, unseen, limits, seed=1)
    assert {k[0] for k in limits} == {AIR, "zone_core.heat_kw", "unit_core.power_kw"}
    for row in found.errors:
        if row.limit is not None:
            assert row.rmse < row.limit, row
            assert row.rmse < 2.5 * stated[row.signal, row.horizon_h].upper, row
    assert found.share_outside < 0.25


def test_a_future_of_the_surrogate_does_not_depend_on_its_neighbours() -> None:
    day = a_day(33)
    whole = fresh().simulate(**day)
    for k in (0, 16, 32):
        alone = fresh().simulate(
            day["x0"][k : k + 1], {s: v[k : k + 1] for s, v in day["w"].items()},
            {p: v[k : k + 1] for p, v in day["schedules"].items()}, BEGIN,
        )  # fmt: skip
        np.testing.assert_array_equal(alone.final_state[0], whole.final_state[k])
        np.testing.assert_array_equal(alone.traces["grid.power_kw"][0],
                                      whole.traces["grid.power_kw"][k])  # fmt: skip


# --- outside the range ----------------------------------------------------------------------------


def test_exactly_the_futures_outside_the_range_are_the_twins_own_to_the_bit() -> None:
    day, twin = a_day(), fresh()
    day["w"][OUTDOOR][1, 50] = -40.0  # weather never seen, in one step
    day["x0"][4] = 45.0  # a room never seen
    parameters = np.tile(TWIN.parameters.values, (6, 1))
    parameters[2, 0] *= 1.1  # a sampled parameter
    ours = twin.simulate(**day, parameters=parameters)
    theirs = TWIN.simulate(**day, parameters=parameters)
    usage = twin.usage
    assert (usage.inputs, usage.states, usage.parameters) == (1, 1, 1)
    for k in range(6):
        same = all(np.array_equal(ours.traces[s][k], theirs.traces[s][k]) for s in ours.traces)
        same &= np.array_equal(ours.final_state[k], theirs.final_state[k])
        assert same == (k in (1, 2, 4)), k


@pytest.mark.parametrize("fault", [
    Fault("sensor_bias", 2.0, AIR, 10), Fault("sensor_stuck", 0.0, AIR, 10),
    Fault("unit_dead", signal="unit_core"), Fault("unit_weak", 0.5, "unit_core"),
], ids=lambda f: f.kind)  # fmt: skip
def test_a_fault_is_outside_the_range_and_reaches_the_twins_equations(fault: Fault) -> None:
    day, twin = a_day(2), fresh()
    ours, theirs = (t.simulate(**day, faults=(fault,)) for t in (twin, TWIN))
    assert twin.usage.inputs >= 2
    np.testing.assert_array_equal(ours.traces[AIR], theirs.traces[AIR])


def test_imposed_heat_and_another_step_are_the_twins_own() -> None:
    day, twin = a_day(2), fresh()
    imposed = {"zone_core.heat_kw": np.full(STEPS, 1.0)}
    ours, theirs = (t.simulate(**day, imposed=imposed) for t in (twin, TWIN))
    np.testing.assert_array_equal(ours.final_state, theirs.final_state)
    assert twin.usage.inputs == 2
    ours, theirs = (t.simulate(**day, step_s=300.0) for t in (twin, TWIN))
    np.testing.assert_array_equal(ours.final_state, theirs.final_state)
    assert twin.usage.futures == 2


def test_the_guard_knows_a_combination_that_no_box_would_catch() -> None:
    generator = np.random.default_rng(0)
    air = generator.normal(20, 2, (50, 40, 1))
    mass = air + generator.normal(0, 0.1, air.shape)
    u = generator.uniform(0, 1, (50, 40, 2))
    u[:, :, 1] = 3.0
    guard = fit_guard(np.concatenate([air, mass], axis=2), u)
    usual, odd = np.tile([20.0, 20.1], (1, 40, 1)), np.tile([20.0, 20.1], (1, 40, 1))
    odd[0, 7] = [18.0, 22.0]
    assert guard.near(usual, u[:1])[0]
    assert guard.states_inside(odd)[0]
    assert not guard.near(odd, u[:1])[0]
    moved = u[:1].copy()
    moved[0, 3, 1] = 3.001  # an input that never moved
    assert guard.inputs_inside(u[:1])[0]
    assert not guard.inputs_inside(moved)[0]


# --- what it claims -------------------------------------------------------------------------------


def test_it_is_fit_for_control_only_with_errors_inside_their_limits() -> None:
    assert TWIN.parameters.fit_for_control  # claimed for this test
    twin = fresh()
    assert twin.parameters.fit_for_control
    assert twin.digest not in (TWIN.digest, twin.surrogate.manifest.digest)
    assert set(TWIN.structure_gaps) < set(twin.structure_gaps)
    assert "residual network" in twin.structure_gaps[-2]
    manifest = twin.surrogate.manifest
    data, replaced = (FOLDER / NETWORK_FILE).read_bytes(), replaced_twin(TWIN)
    row = manifest.errors[0]
    worse = row.model_copy(update={"limit": row.upper * 0.99})
    for errors in ((worse, *manifest.errors[1:]), ()):
        changed = surrogate_of(manifest.model_copy(update={"errors": errors}), data, replaced)
        weak = SurrogateTwin(TWIN, changed)
        assert not weak.parameters.fit_for_control
        assert weak.parameters.report["reasons"] == ["the surrogate's errors exceed their limits"]


def test_it_is_worth_it_only_when_it_is_both_good_and_faster() -> None:
    manifest = load_manifest(FOLDER / MANIFEST_FILE)
    fast = manifest.speed.model_copy(update={"surrogate_per_s": 3 * manifest.speed.replaced_per_s})
    slow = fast.model_copy(update={"surrogate_per_s": fast.replaced_per_s / 2})
    bad = HorizonError(signal=AIR, unit="degC", horizon_h=1, rmse=1, upper=1.2, limit=0.5)
    assert manifest.model_copy(update={"speed": fast}).worth_it
    late = manifest.model_copy(update={"speed": slow, "share_outside": 0.0})
    assert not late.worth_it
    assert "itself is 2.0 times faster" in late.reasons[0]
    astray = manifest.model_copy(update={"speed": fast, "share_outside": 0.9})
    assert astray.factor == pytest.approx(1 / (1 / 3 + 0.9))
    assert not astray.worth_it
    wrong = manifest.model_copy(update={"speed": fast, "errors": (bad,)})
    assert not wrong.worth_it
    assert "the worst zone_core.temp_degc at 1 h" in wrong.reasons[0]


def test_planners_and_estimators_read_the_replaced_twin() -> None:
    twin = fresh()
    for ours, theirs in zip(twin.zone_matrices(900.0), TWIN.zone_matrices(900.0), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert isinstance(twin.with_parameters(TWIN.parameters), BuildingTwin)
    with pytest.raises(AttributeError):
        _ = twin.no_such_thing


# --- what is refused ------------------------------------------------------------------------------


def test_a_network_with_one_changed_bit_is_refused(tmp_path: Path) -> None:
    data = bytearray((FOLDER / NETWORK_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    shutil.copy(FOLDER / MANIFEST_FILE, tmp_path)
    (tmp_path / NETWORK_FILE).write_bytes(data)
    with pytest.raises(IntegrityError, match="its manifest says"):
        surrogate_twin(TWIN, tmp_path)


def test_a_surrogate_of_another_twin_or_of_other_quantities_is_refused(tmp_path: Path) -> None:
    warmer = list(TWIN.parameters.values)
    warmer[0] *= 1.001
    other = TWIN.with_parameters(TWIN.parameters.model_copy(update={"values": tuple(warmer)}))
    with pytest.raises(IntegrityError, match="of another model"):
        surrogate_twin(other, FOLDER)
    manifest, data = load_manifest(FOLDER / MANIFEST_FILE), (FOLDER / NETWORK_FILE).read_bytes()
    replaced = replaced_twin(TWIN)
    for update, words in (
        ({"step_s": 300.0}, "of another step"),
        ({"inputs": manifest.inputs[::-1]}, "of another inputs"),
        ({"given": manifest.given[:-1]}, "is refused: inputs"),
        ({"given": (*manifest.given[:-1], 99)}, "valid range"),
        ({"guard": manifest.guard.model_copy(update={"low": (0.0,)})}, "valid range"),
    ):
        with pytest.raises(IntegrityError, match=words):
            surrogate_of(manifest.model_copy(update=update), data, replaced)
    document = json.loads((FOLDER / MANIFEST_FILE).read_bytes())
    (tmp_path / MANIFEST_FILE).write_text(json.dumps({**document, "verified": True}))
    with pytest.raises(InputError, match="verified"):
        load_manifest(tmp_path / MANIFEST_FILE)


HOSTILE = list(hostile((FOLDER / NETWORK_FILE).read_bytes()))


@pytest.mark.parametrize(("what", "data"), HOSTILE, ids=[w for w, _ in HOSTILE])
def test_a_hostile_file_never_reaches_the_runtime(
    what: str, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with a manifest that vouches for it."""
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: pytest.fail("loaded"))
    manifest = load_manifest(FOLDER / MANIFEST_FILE)
    vouching = manifest.model_copy(update={"network_digest": digest_bytes(data)})
    save_manifest(tmp_path / MANIFEST_FILE, vouching)
    (tmp_path / NETWORK_FILE).write_bytes(data)
    with pytest.raises(IntegrityError):
        surrogate_twin(TWIN, tmp_path)


def test_no_flipped_byte_makes_the_check_fail_in_another_way_than_by_refusing() -> None:
    data = (FOLDER / NETWORK_FILE).read_bytes()
    manifest = load_manifest(FOLDER / MANIFEST_FILE)
    widths = ({"x": len(manifest.states), "u": len(manifest.given)},
              {"x_next": len(manifest.states), "y": len(manifest.outputs)})  # fmt: skip
    check_network(data, *widths)
    generator = np.random.default_rng(0)
    refused = 0
    for at in [*range(600), *generator.integers(len(data), size=200)]:
        changed = bytearray(data)
        changed[at] ^= 1 << int(generator.integers(8))
        try:
            check_network(bytes(changed), *widths)
        except IntegrityError:
            refused += 1
    assert refused > 200  # the rest change a weight or a name


def test_a_twin_with_a_memory_and_a_short_record_are_named() -> None:
    site = load_site(Path("scenarios/microgrid")).site
    with pytest.raises(InputError, match="switches with a memory"):
        model_twin(HubTwin(site, initial_parameters(site)))
    with pytest.raises(InputError, match="on days to measure on"):
        usable_rows(WEATHER.rows(0, 7 * STEPS), (OUTDOOR,), STEPS, kept=True)
    kept, rest = (set(usable_rows(WEATHER, (OUTDOOR,), STEPS, kept=k)) for k in (True, False))
    covered = {r + k for r in kept for k in range(STEPS)}
    assert not covered & {r + k for r in rest for k in range(STEPS)}
    assert max(covered | rest) <= DAYS * STEPS


# --- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["residual", "neural-ode"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(kind) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from sandbox.surrogates.make import surrogate_of_twin

    first, again, other = (
        surrogate_of_twin(TWIN, WEATHER, kind, seed, effort=0.01) for seed in (5, 5, 6)
    )
    assert first.network == again.network
    assert first.manifest.data_digest == again.manifest.data_digest
    assert first.manifest.network_digest != other.manifest.network_digest
    assert first.manifest.kind == kind


@pytest.mark.parametrize("kind", ["residual", "neural-ode"])
def test_the_file_holds_the_network_that_was_trained(kind) -> None:
    """The same definition read by torch and by the graph writer, clipped states included."""
    torch = pytest.importorskip("torch")
    onnx = pytest.importorskip("onnx")
    from sandbox.surrogates.initial_weights import initial_weights
    from sandbox.surrogates.networks import ode_step, residual_step
    from sandbox.surrogates.onnx_export import network_bytes
    from sandbox.surrogates.onnx_runtime import StepNetwork
    from sandbox.surrogates.train_loop import TorchOperations

    replaced = replaced_twin(TWIN)
    data = futures_of_twin(TWIN, replaced, WEATHER, np.random.default_rng(0), 8, 6.0)
    given = np.flatnonzero(np.ptp(data.u, axis=(0, 1)) > 0)
    bounds = np.array([[data.states[..., 0].min(), 50.0], [-60.0, 80.0]])  # the first is reached
    generator = np.random.default_rng(1)
    weights = initial_weights(kind, data, given, replaced.physics, bounds, 8, 2, generator)
    weights["w1"] = weights["w1"] * 3
    weights["wr"] = weights["wr"] + 0.1
    file = network_bytes(kind, weights, len(given), 2)
    onnx.checker.check_model(onnx.load_from_string(file), full_check=True)
    network = StepNetwork(file, 2, len(given), len(replaced.outputs))
    x = data.states[:, 3].astype(np.float32).repeat(2, axis=0)
    x[0, 0] = bounds[0, 0] - 5.0
    u = data.u[:, 4][:, given].astype(np.float32).repeat(2, axis=0)
    ops, w = TorchOperations(torch), {n: torch.tensor(v) for n, v in weights.items()}
    at = torch.tensor(x), torch.tensor(u)
    told = residual_step(ops, w, *at)[:2] if kind == "residual" else ode_step(ops, w, *at, 2)
    for ours, theirs in zip(network.step(x, u), told, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=2e-5, atol=2e-4)
    assert network.step(x, u)[0][0, 0] == pytest.approx(bounds[0, 0], abs=1e-3)


def test_the_command_writes_both_files_and_says_what_they_are_worth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from api.cli import main
    from sandbox.twin import make_twin as twin_of

    pack = shutil.copytree("scenarios/process", tmp_path / "process")
    line = ["pilothouse", "site", "surrogate", str(pack), "--effort", "0.01", "--json"]
    monkeypatch.setattr("sys.argv", line)
    main()
    said = json.loads(capsys.readouterr().out)
    twin = twin_of(load_site(pack).site, load_parameters(pack / "twin.json"))
    surrogate = load_surrogate(pack, replaced_twin(twin))
    assert said["digest"] == surrogate.manifest.digest
    assert said["worth_it"] is False
    assert {r["horizon_h"] for r in said["errors"]} == {1.0, 6.0, 24.0}
    assert said["speed"]["replaced_per_s"] > 0
    basis = {r["basis"] for r in said["errors"] if r["signal"] == "tank1.level_cm"}
    assert basis == {"50% of the twin's own error"}


@pytest.mark.skipif(not can_build(), reason="no C compiler or no FMPy here")
def test_fmus_are_replaced_inside_the_range_and_run_themselves_outside(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from sandbox.fmi.system import FmuPart, FmuSystem
    from sandbox.fmi.twin_part import FmuTwinPart
    from sandbox.surrogates.surrogate_fmu import load_surrogate_fmu, surrogate_of_fmu

    file = build(tmp_path, UPPER)
    inputs = ("up.q_feed", "up.q_out")
    part = FmuTwinPart(FmuSystem({"up": FmuPart(file)}, (), inputs, ("up.h",)), step_s=150.0)
    made = surrogate_of_fmu(part, 300.0, dict.fromkeys(inputs, (0.0, 0.02)), hours=2.0, effort=0.05)
    assert made.manifest.within_limits
    assert made.manifest.speed.factor > 1.0
    (tmp_path / NETWORK_FILE).write_bytes(made.network)
    save_manifest(tmp_path / MANIFEST_FILE, made.manifest)
    surrogate = load_surrogate_fmu(part, tmp_path, 300.0)
    feed = np.tile([0.004, 0.012], (3, 6))
    feed[1, 5] = 0.05
    ours = surrogate.simulate(3, 12, {"up.q_feed": feed, "up.q_out": np.full(12, 0.008)})
    fine = {"up.q_feed": feed.repeat(2, axis=1), "up.q_out": np.full(24, 0.008)}
    theirs = part.simulate(3, 24, fine).traces["up.h"][:, 1::2]
    assert (surrogate.usage.futures, surrogate.usage.inputs, surrogate.usage.replaced) == (3, 1, 1)
    np.testing.assert_array_equal(ours.traces["up.h"][1], theirs[1])
    limit = next(r.limit for r in made.manifest.errors if r.signal == "up.h")
    assert np.abs(ours.traces["up.h"][[0, 2]] - theirs[[0, 2]]).max() < limit
    with pytest.raises(IntegrityError, match="of another model"):
        load_surrogate_fmu(
            FmuTwinPart(FmuSystem({"up": FmuPart(file, {"area": 3.0})}, (), inputs, ("up.h",)),
                        step_s=150.0), tmp_path, 300.0)  # fmt: skip
