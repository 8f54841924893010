"""FMUs as the plant of a site pack: checked, stood up, commanded, branched."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml

from graph.errors import InputError
from graph.plant import LeasedSetpoint
from graph.sitepack import load_site
from graph.telemetry import Frame, write_frame
from sandbox.fmi.check import check_fmus
from sandbox.fmi.hosted import FmuError
from scenarios.fmu_plant import FmuPlant
from scenarios.plants import build_plant
from tests.fmu_factory import GAIN, LOWER, ROGUE, UPPER, build, can_build
from tests.fmu_pack import START, signal, site_around, write_pack

pytestmark = pytest.mark.skipif(not can_build(), reason="no C compiler or no FMPy here")
ROOT = Path(__file__).parents[1]
PUMP = '''
from pythonfmu import Boolean, Fmi2Causality, Fmi2Slave, Integer, Real

class Pump(Fmi2Slave):
    """Power of a pump that lifts `flow`, with a motor that ages in the heat and a remote panel."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flow, self.temp, self.power, self.worn = 0.0, 20.0, 0.0, 0.0
        self.led, self.starts = False, 0
        self.register_variable(Boolean("led", causality=Fmi2Causality.input))
        self.register_variable(Integer("starts", causality=Fmi2Causality.output))
        self.register_variable(Real("flow", causality=Fmi2Causality.input))
        self.register_variable(Real("temp", causality=Fmi2Causality.input))
        self.register_variable(Real("power", causality=Fmi2Causality.output))
        self.register_variable(Real("worn", causality=Fmi2Causality.output))

    def do_step(self, current_time, step_size):
        self.worn += 1e-6 * step_size * max(self.temp - 10.0, 0.0)
        self.starts += 1
        self.power = 9810.0 * 3.0 * self.flow * (1.0 + self.worn) + (50.0 if self.led else 0.0)
        return True
'''


def page_plant() -> dict:
    """The plant that the how-to declares."""
    text = (ROOT / "docs" / "how-to" / "fmu.md").read_text()
    (block,) = [b.split("```")[0] for b in text.split("```yaml\n")[1:]]
    return yaml.safe_load(block)["plant"]


def document() -> dict:
    """A site around that plant, with a pump in Python and a weather station besides."""
    plant = page_plant()
    simulator = plant["simulator"]
    simulator["components"]["pump"] = {"file": "fmus/pump.fmu"}
    simulator["connections"].append({"source": "lower.q", "target": "pump.flow"})
    simulator["points"]["grid.power_kw"] = {"name": "pump.power", "scale": 0.001}
    simulator["points"]["upper.feed_ls"]["activate"] = "pump.led"
    simulator["inputs"] = {"outdoor.temp_degc": "pump.temp"}

    return site_around(
        plant,
        {"upper": "equipment", "lower": "equipment", "outdoor": "weather"},
        [
            signal("grid.power_kw", "kW", 0, 5), signal("upper.level_m", "m", 0, 5),
            signal("lower.level_m", "m", 0, 5), signal("lower.flow_ls", "l/s", -100, 100),
            signal("upper.feed_ls", "l/s", 0, 50, role="setpoint"),
            signal("outdoor.temp_degc", "degC", -30, 50),
        ],
    )  # fmt: skip


def pack_of(folder: Path, built: Path, site: dict) -> Path:
    hours = Frame(START, 3600, {"outdoor.temp_degc": np.array([10.0, 15, 20])})
    return write_pack(folder, built, site, hours)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The FMUs: two tanks in C, and the pump, packed by PythonFMU."""
    from pythonfmu.builder import FmuBuilder

    folder = tmp_path_factory.mktemp("built")
    script = tmp_path_factory.mktemp("script") / "pump.py"
    script.write_text(PUMP)
    FmuBuilder.build_FMU(script, dest=folder / "pump.fmu", canGetAndSetFMUstate="false")
    for model in (UPPER, LOWER):
        build(folder, model)
    return folder


@pytest.fixture(scope="module")
def folder(built, tmp_path_factory):
    return pack_of(tmp_path_factory.mktemp("pack") / "tanks", built, document())


def failures(site: dict, folder: Path) -> str:
    from graph.site import Site

    lines = check_fmus(Site.model_validate(site), folder)
    return "; ".join(f"{c['check']}: {c['detail']}" for c in lines if not c["ok"])


def test_the_check_tells_what_is_sound_and_what_a_person_should_know(folder):
    lines = {c["check"]: c for c in check_fmus(load_site(folder).site, folder)}
    assert all(c["ok"] for c in lines.values()), lines
    assert lines["fmu upper"]["detail"].startswith("FMI 2.0 co simulation, 5 variables, keeps")
    coupling = lines["fmu connections"]["detail"]
    assert "3 connections, order upper, lower, pump" in coupling
    assert "one macro step late: lower.q -> upper.q_out" in coupling
    assert "units not compared: lower.q -> pump.flow" in coupling
    assert "units not compared: grid.power_kw" in lines["fmu points"]["detail"]
    assert lines["fmu inputs"]["detail"].startswith("1 columns, 3 rows of 3600 s")


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("components", "upper", "file"), "fmus/uper.fmu", "there is no FMU"),
        (("components", "upper", "file"), "../uper.fmu", "leads out of the pack"),
        (("components", "upper", "parameters"), {"h_0": 1.0}, "no variable 'h_0'"),
        (("components", "upper", "interface"), "model_exchange", "no interface for model_exchange"),
        (
            ("points", "upper.level_m"),
            {"name": "upper.q_feed"},
            "is a measurement and upper.q_feed",
        ),
        (("points", "upper.feed_ls"), {"name": "upper.h"}, "is a setpoint and upper.h is output"),
        (("points", "lower.flow_ls"), {"name": "lower.q"}, "expected scale 1000 and offset 0"),
        (("local",), {}, "upper.feed_ls needs an entry in plant.simulator.points and in .local"),
        (("inputs",), {"outdoor.ghi": "pump.temp"}, "outdoor.temp_degc"),
        (("inputs",), {}, "nothing measures outdoor.temp_degc"),
        (("tolerance",), 1e-3, "fmu pump: it keeps no snapshots"),
    ],
)
def test_the_check_names_what_is_wrong_with_a_pack(place, value, said, folder):
    site = document()
    node = site["plant"]["simulator"]
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    assert said in failures(site, folder)


def test_site_validate_prints_the_fmus_with_the_rest(folder, tmp_path, capsys, monkeypatch):
    from api.cli import main

    pack = shutil.copytree(folder, tmp_path / "tanks")
    site = load_site(pack).site
    rows = {s.id: np.full(4, 1.0) for s in site.signals}
    write_frame(pack / "data" / "telemetry.parquet", Frame(START, 60, rows))
    monkeypatch.setattr("sys.argv", ["pilothouse", "site", "validate", str(pack), "--json"])
    with pytest.raises(SystemExit):  # it has no twin yet
        main()
    checks = {c["check"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["fmu lower"]["ok"]
    assert checks["fmu points"]["ok"]


def test_the_pack_of_the_how_to_runs_as_a_plant_by_its_path(folder):
    pack = load_site(folder)
    with build_plant(pack, START, 0) as plant:
        assert plant.time == START
        plant.advance(600)
        local = plant.image()
        epoch = plant.claim("gate")
        taken = plant.write(
            epoch, 1, [LeasedSetpoint(point="upper.feed_ls", value=40.0, ttl_s=600)]
        )
        assert taken[0].accepted
        plant.advance(600)
        led = plant.image()
        assert led.points["upper.feed_ls"].owner.value == "local"  # the lease has just ended
        branch = plant.copy()
        plant.advance(1200)
        after = plant.image()
        with branch:
            branch.advance(1200)
            assert branch.image().values == after.values
        frame = plant.log.frame(60)
        foretold = plant.truth("outdoor.temp_degc", START - timedelta(minutes=30), 2, 3600)
        with pytest.raises(InputError, match=r"cannot tell upper\.level_m in advance"):
            plant.truth("upper.level_m", START, 1, 60)
        with pytest.raises(InputError, match="data/inputs covers"):
            plant.advance(7200)
        assert plant.time == START + timedelta(hours=2)

    def value(image, name):
        return image.values[name].value

    assert value(local, "upper.feed_ls") == 10.0
    assert value(local, "outdoor.temp_degc") == 15.0
    assert value(led, "upper.level_m") > value(local, "upper.level_m") + 1.0
    assert value(after, "upper.level_m") < value(led, "upper.level_m")
    lift = 9.81 * 3.0 * value(led, "lower.flow_ls") / 1000.0
    worn = 1.0 + 1e-6 * 1210.0 * 5.0  # at 15 degC from one step before the start
    assert value(led, "grid.power_kw") == pytest.approx(lift * worn + 0.05, rel=2e-3)
    assert value(after, "grid.power_kw") < value(led, "grid.power_kw") - 0.05
    assert list(foretold) == [12.5, 17.5]
    assert frame.column("upper.feed_ls")[[5, 15, 25]] == pytest.approx([10.0, 40.0, 10.0])
    assert not np.isnan(frame.column("grid.power_kw")).any()


def test_whole_numbers_and_switches_pass_through_as_numbers(built):
    from sandbox.fmi.process import FmuProcess

    with FmuProcess(built / "pump.fmu") as pump:
        pump.finish_start()
        found = [pump.step(k, 1.0, {"led": k % 2}, ["starts", "power"]) for k in range(3)]
        with pytest.raises(InputError, match=r"led = 0\.5 does not fit its type Boolean"):
            pump.write({"led": 0.5})
    assert [(r["starts"], r["power"]) for r in found] == [(1, 0), (2, 50), (3, 0)]


def test_a_crash_is_an_error_of_that_fmu_and_leaves_no_process_behind(built, tmp_path):
    site = document()
    simulator = site["plant"]["simulator"]
    simulator["components"]["lower"] = {"file": "fmus/rogue.fmu", "parameters": {"mode": 2}}
    simulator["connections"] = [{"source": "upper.h", "target": "lower.u"}]
    simulator["points"]["lower.level_m"] = {"name": "lower.y"}
    simulator["points"]["lower.flow_ls"] = {"name": "lower.y"}
    folder = shutil.copytree(built, tmp_path / "with_rogue")
    build(folder, ROGUE)
    build(folder, GAIN)
    pack = load_site(pack_of(tmp_path / "pack", folder, site))
    simulator = pack.site.plant.simulator
    plant = FmuPlant.open(pack, simulator, START)
    processes = [p._host._process for p in plant._run.master.processes.values()]
    with pytest.raises(FmuError, match=r"FMU lower \(rogue\.fmu\) crashed with SIGSEGV"):
        plant.step({})  # the upper tank stands at 1 m: what the rogue waits for
    assert [p.poll() is None for p in processes] == [True, False, True]
    plant.close()
    assert all(p.poll() is not None for p in processes)
