"""A twin that no longer fits is identified again, and offered when held-back days speak for it.

The plant is EnergyPlus throughout: recorded weeks of the pack, and weeks with faults that it
simulates itself.
"""

import json
import shutil
from datetime import datetime, timedelta

import pytest
from click.testing import CliRunner

pytest.importorskip("pyenergyplus")

from api.commands.site import site as site_command
from graph.errors import InputError, RefusedError
from graph.telemetry import write_frame
from sandbox.parameters import load_parameters
from sandbox.recalibrate import recalibrate
from sandbox.residual_watch import watch_twin
from sandbox.twin import make_twin
from scenarios.energyplus.faults import EnergyPlusFault
from tests.energyplus_runs import FOLDER, PACK, recorded

PARAMETERS = load_parameters(PACK.folder / PACK.site.twin.parameters)
TWIN = make_twin(PACK.site, PARAMETERS)
BEGIN = datetime.fromisoformat("2026-07-14T01:00:00-07:00")  # midnight of standard time
SINCE = BEGIN + timedelta(days=6)


@pytest.fixture(scope="module")
def worn():
    """Three weeks under the building's own law; after six days a heat pump gives out."""
    return recorded(BEGIN, 22, [EnergyPlusFault("degraded_heat_pump", "unit_west", 0.25, SINCE)])


@pytest.mark.slow
def test_a_worn_machine_is_learned_and_the_new_twin_is_offered_not_swapped(worn):
    watched = watch_twin(TWIN, worn, first_h=132, every_h=6)
    revision = recalibrate(watched, worn)
    assert revision.offered, revision.reasons
    assert revision.replaces == PARAMETERS.digest
    assert TWIN.digest == PARAMETERS.digest != revision.parameters.digest
    assert abs(revision.since - SINCE) <= timedelta(hours=3)
    assert "West heat pump" in revision.why
    # What it was fitted on has not seen the days before the fault nor those that judge it.
    assert revision.parameters.fitted_on["held_back_to"] == worn.end.isoformat().replace(
        "+00:00", "Z"
    )
    assert revision.after["energy of all units"] < 0.5 * revision.before["energy of all units"]
    assert revision.after["zone temperatures"] < 1.05 * revision.before["zone temperatures"]
    old, new = (p.value("unit_west.cop_cooling") for p in (PARAMETERS, revision.parameters))
    assert new / old == pytest.approx(0.75, abs=0.06)
    assert "unit_west.cop_cooling" in revision.moved


def test_too_few_days_since_a_change_say_how_many_are_missing(worn):
    early = worn.window(BEGIN, SINCE + timedelta(days=4))
    with pytest.raises(InputError, match="days of complete telemetry since 2026-07-20") as caught:
        recalibrate(watch_twin(TWIN, early, first_h=132), early)
    assert "try again in 1" in caught.value.hint


def test_a_sensor_that_lies_is_named_and_nothing_is_learned_from_it():
    frame = recorded(BEGIN, 9, [EnergyPlusFault("thermostat_offset", "zone_east", -1.5, SINCE)])
    watched = watch_twin(TWIN, frame, first_h=138)
    with pytest.raises(RefusedError, match=r"zone_east\.temp_degc") as caught:
        recalibrate(watched, frame)
    assert caught.value.reason == "sensor_fault"


def test_the_command_names_what_it_sees_and_why_it_learns_nothing_from_it(tmp_path):
    frame = recorded(BEGIN, 8, [EnergyPlusFault("open_window", "zone_north", 0.2, SINCE)])
    write_frame(tmp_path / "july.parquet", frame)
    asked = ["residuals", str(FOLDER), "--telemetry", str(tmp_path / "july.parquet")]
    done = CliRunner().invoke(site_command, [*asked, "--recalibrate"])
    assert done.exit_code == 1, done.output
    assert "the plant has changed: North rooms: heat lost to the outdoors" in done.output
    assert "not recalibrated: 2.0 days" in done.output
    assert "since 2026-07-20" in done.output


@pytest.mark.slow
def test_a_winters_twin_is_named_in_summer_and_the_command_writes_a_better_one(tmp_path):
    from api.learned_twin import fit_before
    from sandbox.parameters import save_parameters

    pack = tmp_path / "office"
    shutil.copytree(FOLDER, pack)
    winter = fit_before(PACK, datetime.fromisoformat("2026-01-12T00:00:00-08:00"))
    assert winter.fit_for_control
    save_parameters(pack / "twin.json", winter)
    summer = PACK.telemetry().window(
        datetime.fromisoformat("2026-06-01T00:00:00-07:00"),
        datetime.fromisoformat("2026-06-24T00:00:00-07:00"),
    )
    write_frame(tmp_path / "june.parquet", summer)
    asked = ["residuals", str(pack), "--telemetry", str(tmp_path / "june.parquet"), "--recalibrate"]
    done = CliRunner().invoke(site_command, [*asked, "--json"])
    assert done.exit_code == 1, done.output
    found = json.loads(done.output)
    assert found["confirmed"][0]["kind"] == "model_error"
    revision = found["revision"]
    assert revision["offered"]
    assert revision["replaces"] == winter.digest == load_parameters(pack / "twin.json").digest
    assert load_parameters(pack / "twin.revision.json").digest == revision["digest"]
    for errors in revision["errors_24h"].values():
        assert errors["after"] < 0.75 * errors["before"]
    shown = CliRunner().invoke(site_command, asked[:-1])
    assert "the twin is off everywhere" in shown.output
