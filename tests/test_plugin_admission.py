"""What gets in: signed by two, unaltered, of this world, within its grant; nothing else."""

import os
from pathlib import Path

import numpy as np
import pytest
import wasmtime

from graph.errors import InputError, IntegrityError, PilothouseError, RefusedError
from graph.site import Site
from graph.snapshot import (
    Snapshot,
)
from plugins.host import PluginHost
from plugins.manifest import Grant, PluginManifest, grant_all
from plugins.package import read_package
from plugins.patterns import covers, matches
from plugins.signatures import sign_manifest
from plugins.submission import PointRule, check_setpoints
from tests.plugin_guests import (
    ANNA,
    ASKS,
    BORIS,
    QUICK,
    QUIET,
    STRANGER,
    SUBMIT,
    TRUST,
    advise,
    install,
    make_site,
    make_snapshot,
    manifest_of,
    setpoints,
)


@pytest.fixture(scope="module")
def site() -> Site:
    return make_site()


@pytest.fixture(scope="module")
def snapshot(site: Site) -> Snapshot:
    return make_snapshot(site)


# --- admission --------------------------------------------------------------------------------


def refusal(component: bytes, manifest: PluginManifest, grant: Grant | None = None) -> str:
    envelope, grant = sign_manifest(manifest, ANNA, BORIS), grant or grant_all(manifest)
    with PluginHost(TRUST, QUICK) as host, pytest.raises(RefusedError) as caught:
        host.install(envelope, component, grant)
    return str(caught.value)


def test_unsigned_half_signed_and_strangely_signed_plugins_are_refused() -> None:
    manifest = manifest_of(QUIET)
    good = sign_manifest(manifest, ANNA, BORIS)
    with PluginHost(TRUST, QUICK) as host:
        for envelope in (
            {**good, "signatures": []},
            sign_manifest(manifest, ANNA),
            sign_manifest(manifest, ANNA, STRANGER),
            {**good, "payload": sign_manifest(manifest_of(b"other"), ANNA)["payload"]},
        ):
            with pytest.raises(IntegrityError):
                host.install(envelope, QUIET, grant_all(manifest))
        assert host.installed() == ()


def test_every_flipped_byte_of_a_component_is_found() -> None:
    manifest = manifest_of(QUIET)
    envelope = sign_manifest(manifest, ANNA, BORIS)
    rng = np.random.default_rng(7)
    with PluginHost(TRUST, QUICK) as host:
        for at in rng.integers(0, len(QUIET) * 8, 200):
            flipped = bytearray(QUIET)
            flipped[at // 8] ^= 1 << (at % 8)
            with pytest.raises(RefusedError, match=r"digest|not_a_component"):
                host.install(envelope, bytes(flipped), grant_all(manifest))


def test_text_core_modules_rubbish_and_giants_are_refused() -> None:
    for data in (b"(component)", bytes(wasmtime.wat2wasm("(module)")), b"", b"\x7fELF" * 9):
        assert "not_a_component" in refusal(data, manifest_of(data))
    rubbish = QUIET[:8] + b"\xff" * 99
    assert "not a valid component" in refusal(rubbish, manifest_of(rubbish))
    giant = QUIET[:8] + bytes(QUICK.component_bytes)
    assert "size" in refusal(giant, manifest_of(giant))


@pytest.mark.parametrize(
    "name",
    ["wasi:cli/environment@0.2.0", "wasi:sockets/tcp@0.2.0", "twin:copilot/log@0.2.0",
     "twin:copilot/kv@0.1.0", "env"],
)  # fmt: skip
def test_imports_outside_the_world_are_refused_by_name(name: str) -> None:
    component = bytes(wasmtime.wat2wasm(f'(component (import "{name}" (instance)))'))
    assert f"imports {name}" in refusal(component, manifest_of(component))


def test_an_import_outside_the_grant_is_refused_by_name() -> None:
    manifest = manifest_of(QUIET)
    grant = grant_all(manifest).model_copy(update={"points": ()})
    assert "imports twin:copilot/submit@0.1.0, which is outside its grant" in (
        refusal(QUIET, manifest, grant)
    )


def test_a_memory_beyond_the_grant_is_refused_at_admission() -> None:
    big = QUIET.replace(b"\x05\x03\x01\x00\x01", b"\x05\x03\x01\x00\x7f")  # 1 page -> 127
    assert big != QUIET
    assert "memory" in refusal(big, manifest_of(big))


def test_a_grant_is_for_one_component_and_never_more_than_it_asks() -> None:
    manifest = manifest_of(QUIET)
    full = grant_all(manifest)
    for change, named in (
        ({"telemetry": ("*.*",)}, "telemetry '*.*'"),
        ({"points": ("hp.power_set_kw",)}, "points 'hp.power_set_kw'"),
        ({"fuel": ASKS.fuel + 1}, "fuel"),
        ({"memory_mib": 5}, "memory_mib"),
        ({"component": "sha256:" + "0" * 64}, "the grant is for"),
    ):
        assert named in refusal(QUIET, manifest, full.model_copy(update=change))


def test_a_plugin_that_lies_about_its_name_or_world_is_refused() -> None:
    assert "it says it is 'guest'" in refusal(QUIET, manifest_of(QUIET, "honest"))
    other = manifest_of(QUIET).model_copy(update={"world": "twin:copilot/advisor@0.2.0"})
    assert "this host offers" in refusal(QUIET, other)


def test_a_new_version_replaces_the_old_one_and_its_process(site: Site, snapshot: Snapshot) -> None:
    with PluginHost(TRUST, QUICK) as host:
        install(host, QUIET)
        old = host.process_id("guest")
        install(host, advise(setpoints() + SUBMIT))
        assert host.process_id("guest") != old
        with pytest.raises(ProcessLookupError):
            os.kill(old, 0)
        assert len(host.propose("guest", snapshot, site)) == 1
        host.remove("guest")
        with pytest.raises(PilothouseError, match="unknown_plugin"):
            host.run("guest", snapshot, site)


# --- small parts ------------------------------------------------------------------------------


def test_a_pattern_covers_what_it_names_and_nothing_else() -> None:
    assert covers("*.*", "battery.*")
    assert covers("battery.*", "battery.soc_pct")
    assert not covers("battery.*", "*.soc_pct")
    assert not covers("battery.soc_pct", "battery.*")
    assert not matches(["*.*"], "battery")
    assert not matches(["*.*"], "a.b.c")


def test_a_heat_pump_stands_still_or_runs_at_its_least() -> None:
    rule = PointRule(unit="kW", minimum=0, maximum=12, least=4)
    assert check_setpoints("hp.p", "kW", [0.0, 4.0, 12.0], 3, rule) is None
    assert "neither 0 nor at least 4" in str(check_setpoints("hp.p", "kW", [2.0], 1, rule))


def test_a_folder_whose_manifest_is_about_another_build_is_named(tmp_path: Path) -> None:
    (tmp_path / "guest.wasm").write_bytes(QUIET)
    text = manifest_of(QUIET).model_dump_json()
    (tmp_path / "manifest.json").write_text(text)
    assert read_package(tmp_path).component == QUIET
    (tmp_path / "guest.wasm").write_bytes(QUIET + b"\0")
    with pytest.raises(InputError, match="put the new digest into the manifest"):
        read_package(tmp_path)
    (tmp_path / "manifest.json").write_text(text.replace('"fuel":', '"fuels":'))
    with pytest.raises(InputError, match=r"asks\.fuels: Extra inputs"):
        read_package(tmp_path)
