"""A peer's own virtual environment, made once from pinned requirements and kept in the cache."""

import os
import shutil
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from graph.errors import UnavailableError

REQUIREMENTS = Path(__file__).parent / "requirements"
DONE = "installed"


@dataclass(frozen=True)
class Installed:
    """A peer's interpreter, and how long its making took (0 if it was there)."""

    python: Path
    seconds: float


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/pilothouse/peers`, by default below `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pilothouse" / "peers"


def install(
    name: str, requirements: Path, folder: Path, limit_s: float, resolved: tuple[str, ...] = ()
) -> Installed:
    """The interpreter with exactly `requirements`, made within `limit_s` if it is not there yet.

    The folder carries the pins' digest, so that other pins never meet an old environment; one
    that was interrupted is made anew. `resolved` is installed before them, with whatever it needs
    on this machine: for packages whose needs differ from machine to machine.

    Raises:
        UnavailableError: offline, too slow, or the pins don't install on this Python.
    """
    pins = requirements.read_bytes()
    tag = sha256(pins + "".join(resolved).encode() + sys.version.encode()).hexdigest()[:12]
    home = folder / f"{name}-{tag}"
    python = home / "bin" / "python"
    if (home / DONE).exists():
        return Installed(python, 0.0)
    begun = time.monotonic()
    shutil.rmtree(home, ignore_errors=True)
    try:
        venv.create(home, with_pip=True, symlinks=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(
            f"no environment for {name}: {error}", "see python -m venv"
        ) from error
    # The pins are whole: without a resolver the same files are installed everywhere, or none.
    for what in (list(resolved), ["--no-deps", "-r", str(requirements)]):
        if what:
            _pip(name, home, what, begun + limit_s)
    (home / DONE).write_text("")
    return Installed(python, time.monotonic() - begun)


def _pip(name: str, home: Path, what: list[str], until: float) -> None:
    """Install into `home`, which is removed where that fails."""
    options = ["--quiet", "--no-compile", "--disable-pip-version-check"]
    patience = ["--retries", "1", "--timeout", "20"]
    command = [str(home / "bin" / "python"), "-m", "pip", "install", *options, *patience, *what]
    left = max(until - time.monotonic(), 1.0)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=left)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        shutil.rmtree(home, ignore_errors=True)
        raise UnavailableError(
            f"{name} was not installed in time", "try again: downloads are kept"
        ) from error
    if done.returncode != 0:
        shutil.rmtree(home, ignore_errors=True)
        raise UnavailableError(f"{name} does not install: {_reason(done.stderr)}", "is pip online?")


def _reason(text: str) -> str:
    """pip's first line that names an error."""
    lines = [x.strip() for x in text.splitlines() if x.strip()]
    found = [x for x in lines if x.lower().startswith("error")] or lines[-1:]
    return (found[0] if found else "pip said nothing")[:160]
