"""Recorded telemetry is a plant that can be looked at, moved through, and never written."""

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from api.local_gate import DirectReader, DirectWriter, LocalGate
from api.shadow import run_shadow
from api.workspace import create_workspace
from graph.errors import InputError, RefusedError
from graph.plant import LeasedSetpoint, PlantReader
from graph.signals import Owner, Quality
from graph.sitepack import load_site
from graph.telemetry import Frame
from safety.gate.config import config_from_site
from scenarios.plants import build_plant
from scenarios.recorded_plant import RecordedPlant

MICROGRID = Path("scenarios/microgrid")
PACK = load_site(MICROGRID)
FRAME = PACK.telemetry()
AT = FRAME.start + timedelta(days=20)
ROOM = "zone_north.temp_degc"
SENTENCE = "minimise cost for the next 24 hours, keep the rooms between 20 and 24 °C"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The microgrid as somebody has it who may only look: its adapter is `recorded`."""
    folder = tmp_path_factory.mktemp("site") / "recorded"
    shutil.copytree(MICROGRID, folder)
    document = yaml.safe_load((folder / "site.yaml").read_text())
    document["plant"] = {"adapter": "recorded"}
    (folder / "site.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


def test_it_shows_the_row_that_ends_now_and_remembers_only_the_past() -> None:
    plant = RecordedPlant(PACK.site, FRAME, AT)
    reader: PlantReader = plant
    row = FRAME.window(AT - timedelta(seconds=900), AT)
    image = reader.read()
    assert image.time == AT
    assert image.values[ROOM].value == row.column(ROOM)[0]
    assert {p.owner for p in image.points.values()} == {Owner.LOCAL}
    past = reader.history([ROOM], AT - timedelta(hours=2))[ROOM]
    assert [r.time for r in past][-1] == AT
    assert len(past) == 8
    plant.advance(1800)
    assert plant.time == plant.image().time == AT + timedelta(minutes=30)


def test_a_missing_sample_is_a_bad_reading() -> None:
    columns = {n: np.array(v) for n, v in FRAME.columns.items()}
    columns[ROOM][:] = np.nan
    plant = RecordedPlant(PACK.site, Frame(FRAME.start, FRAME.step_s, columns), AT)
    reading = plant.read().values[ROOM]
    assert (reading.value, reading.quality) == (None, Quality.BAD)
    assert plant.read().values["tank.temp_degc"].quality is Quality.GOOD


def test_time_moves_by_whole_rows_and_ends_with_the_record() -> None:
    plant = RecordedPlant(PACK.site, FRAME, FRAME.end - timedelta(seconds=900))
    for odd in (60.0, 0.0, -900.0, float("nan"), 1350.0):
        with pytest.raises((InputError, ValueError)):
            plant.advance(odd)
    plant.advance(900)
    with pytest.raises(InputError, match="the recording ends at"):
        plant.advance(900)
    assert plant.time == FRAME.end


def attempts() -> list[Any]:
    lease = [LeasedSetpoint(point="hp.power_set_kw", value=5.0, ttl_s=900.0)]
    return [
        lambda p: p.claim("gate"),
        lambda p: p.write(1, 1, lease),
        lambda p: p.release(1, 1, ["hp.power_set_kw"]),
        lambda p: p.heartbeat(1),
        lambda p: DirectWriter(p).write(1, 1, lease),
    ]


@pytest.mark.parametrize("attempt", range(5))
def test_every_attempt_to_write_is_refused_by_name_and_changes_nothing(attempt: int) -> None:
    plant = RecordedPlant(PACK.site, FRAME, AT)
    before = plant.image()
    with pytest.raises(RefusedError, match=r"read_only.*site microgrid is recorded telemetry"):
        attempts()[attempt](plant)
    assert plant.image() == before


def test_no_gate_starts_over_a_recording(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "work", lab=True)
    config = config_from_site(PACK.site, stepped=True, lab=True)
    plant: Any = RecordedPlant(PACK.site, FRAME, AT)
    with pytest.raises(RefusedError, match=r"read_only: .*gate cannot claim it"):
        LocalGate(config, plant, workspace.root(), workspace.signer("gate"), workspace.gate)
    assert not hasattr(DirectReader(plant), "write")


STRETCH = ("--from", "2026-01-10T08:00", "--to", "2026-01-10T09:00", "--json")


def test_a_site_of_recorded_telemetry_cannot_be_run(recorded: Path, run_pilothouse: Any) -> None:
    with pytest.raises(RefusedError, match="read_only"):
        build_plant(load_site(recorded), AT, 1)
    refused = run_pilothouse("run", "--site", recorded, *STRETCH)
    assert refused.returncode != 0
    assert "read_only" in refused.stdout + refused.stderr


@pytest.mark.slow
def test_a_site_of_recorded_telemetry_runs_in_shadow(recorded: Path, run_pilothouse: Any) -> None:
    shadow = run_pilothouse("shadow", "--site", recorded, *STRETCH, "--futures", 10, timeout=240)
    assert shadow.returncode == 0, shadow.stderr
    found = json.loads(shadow.stdout)
    assert found["decisions"] == 1
    assert found["idle_cost_checked"] == 1
    assert found["rows"][0]["came"] > 0


@pytest.mark.slow
def test_a_shadow_run_beside_a_simulated_plant_sees_what_the_plant_does() -> None:
    """The record ends at midnight; the plant goes on under its own law and is never claimed."""
    start = FRAME.end
    run = run_shadow(MICROGRID, start, start + timedelta(minutes=30), SENTENCE, 10, 1,
                     on_plant=True)  # fmt: skip
    document = run.document()
    assert document["decisions"] == 1
    assert "failed" not in document["outcomes"], run.rows
    assert document["idle_cost_checked"] == 0  # its day has not come yet
    with pytest.raises(InputError, match="telemetry covers"):
        run_shadow(MICROGRID, start, start + timedelta(hours=1), SENTENCE, 10, 1)
