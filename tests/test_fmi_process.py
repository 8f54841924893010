"""One FMU in a process of its own: files that lie, models that hang or crash, states, events."""

import os
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graph.errors import InputError
from sandbox.fmi.archive import open_archive
from sandbox.fmi.description_xml import parse_description
from sandbox.fmi.hosted import FmuError
from sandbox.fmi.limits import MIB, FmuLimits
from sandbox.fmi.process import FmuProcess, describe_fmu
from tests.fmu_factory import (
    BALL,
    GAIN,
    LOWER,
    ROGUE,
    VANDERPOL,
    build,
    can_build,
    description2,
)

compiled = pytest.mark.skipif(not can_build(), reason="no C compiler or no FMPy here")
TIGHT = FmuLimits(cpu_s=60, memory_mb=1024, output_mb=2)
FLAGS = {"keep": True, "pack": True, "vary": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fmus")


# --- the file ---------------------------------------------------------------------------------


def packed(path: Path, *entries: tuple[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/etc/outside", "resources/../../outside", "C:/outside", "a\\..\\b"]
)
def test_an_entry_that_leads_out_of_the_fmu_is_refused_before_anything_is_unpacked(name, tmp_path):
    file = packed(tmp_path / "evil.fmu", ("modelDescription.xml", b"<x/>"), (name, b"evil"))
    with pytest.raises(InputError, match="leads out of the FMU") as raised:
        describe_fmu(file)
    assert "evil.fmu" in raised.value.message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evil.fmu"]


def test_links_bombs_and_things_that_are_no_fmu_are_each_refused_by_name(tmp_path):
    link = packed(tmp_path / "link.fmu", ("resources/x", b"/etc"), mode=stat.S_IFLNK | 0o777)
    bomb = packed(tmp_path / "bomb.fmu", *[(f"resources/{i}", b"\0" * (3 * MIB)) for i in range(4)])
    many = packed(tmp_path / "many.fmu", *[(f"resources/{i}", b"") for i in range(30)])
    plain = tmp_path / "plain.fmu"
    plain.write_bytes(b"no zip at all" * 100)
    small = FmuLimits(unpacked_mb=8, entries=20)
    assert bomb.stat().st_size < 100_000
    for file, said in ((link, "link or a device"), (bomb, "unpack to 12 MiB"),
                       (many, "30 entries"), (plain, "not a zip file"),
                       (tmp_path / "absent.fmu", "there is no FMU")):  # fmt: skip
        with pytest.raises(InputError, match=said):
            open_archive(file, small)
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = packed(tmp_path / "twice.fmu", ("a", b"1"), ("a", b"2"))
    with pytest.raises(InputError, match="is there twice"):
        open_archive(twice, small)
    with pytest.raises(InputError, match=r"holds no modelDescription.xml"):
        describe_fmu(packed(tmp_path / "empty.fmu", ("resources/x", b"")))


def test_an_archive_that_holds_more_than_it_declares_is_refused_while_it_is_unpacked(tmp_path):
    file = packed(tmp_path / "liar.fmu", ("resources/x", b"\1" * 50_000))
    data = bytearray(file.read_bytes())
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(signature) + place
        data[at : at + 4] = (100).to_bytes(4, "little")
    file.write_bytes(data)
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(InputError, match=r"liar\.fmu: resources/x"):
        open_archive(file, FmuLimits()).unpack(target, "binaries/linux64")
    assert (target / "resources" / "x").stat().st_size <= 100


SOUND = description2(LOWER, "CoSimulation", "lower", FLAGS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SOUND.replace("<fmiM", '<!DOCTYPE x [<!ENTITY a "a">]><fmiM', 1), "DOCTYPE"),
        (SOUND.replace("<fmiM", '<!DOCTYPE x SYSTEM "file:///etc/passwd"><fmiM', 1), "DOCTYPE"),
        (SOUND[:-5], "not well formed"),
        (SOUND.replace("fmiModelDescription", "plan"), "root is <plan>"),
        (SOUND.replace('fmiVersion="2.0"', 'fmiVersion="1.0"'), "FMI 1.0"),
        (SOUND.replace('valueReference="3"', 'valueReference="x"'), "k_out: valueReference"),
        (SOUND.replace('index="7"', 'index="70"'), "ModelStructure names variable 70"),
        (SOUND.replace('"k_out"', '"k"'), "'k' is there twice"),
        (SOUND.replace('modelIdentifier="lower"', 'modelIdentifier="../x"'), "modelIdentifier"),
        (SOUND.replace('factor="0.001"', 'factor="0"'), "factor 0"),
        ("<a>" * 100 + "</a>" * 100, "nests deeper"),
    ],
)
def test_a_model_description_that_is_malformed_or_hostile_says_what_and_where(text, said):
    assert text != SOUND
    with pytest.raises(InputError, match=said) as raised:
        parse_description(text.encode(), "thing.fmu")
    assert "thing.fmu" in raised.value.message


def test_both_versions_of_one_model_are_described_alike():
    from tests.fmu_factory import description3

    two = parse_description(SOUND.encode(), "lower.fmu")
    text = description3(LOWER, "CoSimulation", "lower", FLAGS)
    three = parse_description(text.encode(), "lower.fmu")
    assert (two.version, three.version) == ("2.0", "3.0")
    assert ["time", *two.variables] == list(three.variables)
    for name, variable in two.variables.items():
        assert replace(three.variables[name], kind="Real") == variable
    assert two.feedthrough == three.feedthrough == {"h": frozenset(), "q": frozenset({"h_up"})}
    assert two.interfaces == three.interfaces


@compiled
def test_the_fmus_of_these_tests_are_valid_by_fmpys_own_judgement(folder):
    from fmpy.validation import validate_fmu

    for fmi in (2, 3):
        for model, kind in ((LOWER, "co_simulation"), (BALL, "model_exchange")):
            assert validate_fmu(str(build(folder, model, fmi, kind=kind))) == []


# --- what cannot start --------------------------------------------------------------------------


@compiled
def test_what_cannot_run_is_refused_by_name_before_a_process_is_started(folder, tmp_path):
    file = build(folder, LOWER)
    foreign = tmp_path / "foreign.fmu"
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(foreign, "w") as target:
        for name in source.namelist():
            target.writestr(name.replace("linux64", "win64"), source.read(name))
    with pytest.raises(InputError, match=r"no binary binaries/linux64/lower\.so") as raised:
        FmuProcess(foreign)
    assert "win64" in raised.value.hint
    with pytest.raises(InputError, match="no interface for model_exchange"):
        FmuProcess(file, interface="model_exchange")
    with pytest.raises(InputError, match="no variable 'k_uot'") as raised:
        FmuProcess(file, parameters={"k_uot": 1.0})
    assert "k_out" in raised.value.hint
    with pytest.raises(InputError, match="q cannot be given a start value"):
        FmuProcess(file, parameters={"q": 1.0})
    with pytest.raises(InputError, match="does not fit its type"):
        FmuProcess(file, parameters={"k": float("nan")})


@compiled
def test_a_binary_that_does_not_load_or_takes_another_token_is_named(folder, tmp_path):
    file = build(folder, LOWER)
    for name, edit, said in (
        ("broken", lambda n, d: b"\x7fELF junk" if n.endswith(".so") else d, "shared library"),
        ("other", lambda n, d: d.replace(b"{5a1e", b"{5a1f") if n.endswith(".xml") else d,
         "Failed to instantiate"),
    ):  # fmt: skip
        edited = tmp_path / f"{name}.fmu"
        with zipfile.ZipFile(file) as source, zipfile.ZipFile(edited, "w") as target:
            for entry in source.namelist():
                target.writestr(entry, edit(entry, source.read(entry)))
        with pytest.raises(FmuError, match=rf"FMU {name} \({name}\.fmu\) failed: .*{said}"):
            FmuProcess(edited)


# --- what misbehaves ----------------------------------------------------------------------------


@compiled
@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (1, r"did not answer within 3 s .*it stepped from t = 2 s by 1 s"),
        (2, r"crashed with SIGSEGV"),
        (3, r"ended its own process with exit code 7"),
        (4, r"wrote more than 2 MiB .*the same line over and over"),
        (5, r"crashed with SIGSEGV \(its memory is limited to 1024 MiB\)"),
        (8, r"failed: fmi2DoStep failed with status 3 \(error\)"),
        (9, r"crashed with SIGABRT .*I give up, says the model"),
        (10, r"broke the rules of its pipe: an answer of 2065854315 bytes"),
    ],
)
def test_an_fmu_that_misbehaves_ends_alone_and_is_named(mode, said, folder):
    file = build(folder, ROGUE)
    limits = replace(TIGHT, call_s=3.0) if mode == 1 else TIGHT
    with FmuProcess(file, name="boiler", parameters={"mode": mode}, limits=limits) as rogue:
        rogue.finish_start()
        home = Path(rogue._host._folder)
        assert rogue.step(0.0, 1.0, {"u": 0.0}, ["y"]) == {"y": 0.0}
        with pytest.raises(FmuError, match=rf"FMU boiler \(rogue\.fmu\) {said}") as raised:
            rogue.step(2.0, 1.0, {"u": 1.0}, ["y"])
        assert not home.exists()
        with pytest.raises(ProcessLookupError):
            os.kill(rogue._host._process.pid, 0)
        with pytest.raises(FmuError) as again:
            rogue.step(3.0, 1.0, {"u": 0.0}, ["y"])
        assert again.value is raised.value


@compiled
def test_a_refused_step_is_told_apart_from_a_failure_and_the_fmu_lives_on(folder):
    with FmuProcess(build(folder, ROGUE), parameters={"mode": 7}) as rogue:
        rogue.finish_start()
        with pytest.raises(FmuError, match="discard") as raised:
            rogue.step(0.0, 1.0, {"u": 1.0}, ["y"])
        assert raised.value.discard
        assert rogue.step(0.0, 0.1, {"u": 1.0}, ["y"]) == {"y": 1.0}


@compiled
def test_an_fmu_learns_no_secret_of_its_parent_and_keeps_nothing_behind(folder, monkeypatch):
    monkeypatch.setenv("PILOTHOUSE_PASSPHRASE", "do not tell")
    with FmuProcess(build(folder, GAIN)) as gain:
        gain.finish_start()
        pid, home = gain._host._process.pid, gain._host._folder
        said = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"do not tell" not in said
        assert b"PYTHONHASHSEED=0" in said
        with pytest.raises(InputError, match="y is output, not input"):
            gain.write({"y": 1.0})
    assert not home.exists()
    gain.close()


# --- values, states, events -----------------------------------------------------------------------


@compiled
@pytest.mark.parametrize("fmi", [2, 3])
def test_values_are_read_and_written_in_any_unit_of_the_same_thing(fmi, folder):
    with FmuProcess(build(folder, LOWER, fmi, name=f"lower{fmi}")) as tank:
        tank.write({"h_up": 150.0}, units={"h_up": "cm"})
        assert tank.read(["h", "q"], units={"q": "l/s"}) == pytest.approx({"h": 0.5, "q": 20.0})
        with pytest.raises(InputError, match="cannot be expressed in kW"):
            tank.read(["q"], units={"q": "kW"})


@compiled
@pytest.mark.parametrize(("fmi", "kind"), [(2, "co_simulation"), (3, "model_exchange")])
def test_a_restored_state_continues_to_the_same_bits_here_and_in_another_process(fmi, kind, folder):
    file = build(folder, VANDERPOL, fmi, kind=kind, name=f"vdp{fmi}{kind}")

    def go_on(fmu):
        return [fmu.step(1.0 + 0.1 * k, 0.1, {}, ["x0", "x1"]) for k in range(20)]

    with FmuProcess(file) as fmu:
        fmu.finish_start()
        fmu.step(0.0, 1.0, {}, [])
        handle, text = fmu.snapshot(), fmu.packed()
        first = go_on(fmu)
        fmu.restore(handle)
        assert go_on(fmu) == first
        fmu.release(handle)
    with FmuProcess(file) as other:
        other.finish_start()
        other.unpack(text)
        assert go_on(other) == first
    assert len({row["x0"] for row in first}) == 20


@compiled
def test_an_fmu_that_keeps_no_state_says_so(folder):
    with FmuProcess(build(folder, GAIN, can_keep=False, name="forgetful"), name="block") as gain:
        gain.finish_start()
        with pytest.raises(InputError, match=r"FMU block \(forgetful.fmu\) cannot keep its state"):
            gain.snapshot()


@compiled
@pytest.mark.parametrize("fmi", [2, 3])
def test_model_exchange_integrates_as_scipy_does(fmi, folder):
    from scipy.integrate import solve_ivp

    def slope(_, x):
        return [x[1], 3.0 * (1.0 - x[0] ** 2) * x[1] - x[0]]

    exact = solve_ivp(slope, (0.0, 6.0), [2.0, 0.0], "DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    file = build(folder, VANDERPOL, fmi, kind="model_exchange", name=f"vdp_me{fmi}")
    with FmuProcess(file, parameters={"mu": 3.0}) as fmu:
        fmu.finish_start()
        for k in range(12):
            found = fmu.step(0.5 * k, 0.5, {}, ["x0", "x1"])
    assert list(found.values()) == pytest.approx(list(exact), abs=2e-5)


@compiled
@pytest.mark.parametrize("fmi", [2, 3])
def test_state_events_and_time_events_happen_when_they_must(fmi, folder):
    """A ball from 1 m hits at sqrt(2/g); each next flight lasts a share e of the one before."""
    g, e = 9.81, 0.7
    hits, speed = [np.sqrt(2.0 / g)], np.sqrt(2.0 * g)
    while hits[-1] < 2.0:
        speed *= e
        hits.append(hits[-1] + 2.0 * speed / g)
    with FmuProcess(build(folder, BALL, fmi, kind="model_exchange", name=f"ball{fmi}")) as ball:
        ball.finish_start()
        rows = [ball.step(0.1 * k, 0.1, {}, ["h", "bounces", "ticks"]) for k in range(20)]
    ends = 0.1 * np.arange(1, 21)
    assert [r["bounces"] for r in rows] == [sum(t <= end for t in hits) for end in ends]
    assert [r["ticks"] for r in rows] == [np.floor(end / 0.25 + 1e-9) for end in ends]
    for row, end in zip(rows, ends, strict=True):
        bounces = sum(t <= end for t in hits)
        since = end - hits[bounces - 1] if bounces else end + hits[0]
        up = np.sqrt(2.0 * g) * e**bounces
        assert row["h"] == pytest.approx(up * since - g / 2.0 * since**2, abs=1e-4)
