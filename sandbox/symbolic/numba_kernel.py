"""Compiles generated kernels with numba and keeps them: in memory, and on disk between processes.

The source is written to `<cache>/pilothouse/kernels/<digest>.py`; numba stores the machine code
beside it, keyed by processor and version. What lies there is executed, so the folder must be this
user's alone (mode 0700); where it cannot be had, a fresh temporary folder is used and nothing is
kept.
"""

import hashlib
import importlib.util
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

log = logging.getLogger(__name__)

Kernel = Callable[..., None]


def installed() -> bool:
    """Whether numba can be imported (looked up, not imported)."""
    return importlib.util.find_spec("numba") is not None


@cache
def compiled(source: str) -> Kernel:
    """The function `run` of the generated source, compiled or loaded from disk."""
    name = hashlib.sha256(source.encode()).hexdigest()[:32]
    path = cache_folder() / f"kernel_{name}.py"
    _write(path, source)
    spec = importlib.util.spec_from_file_location(f"pilothouse_kernel_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # numba looks its machine code's module up by name
    spec.loader.exec_module(module)
    run: Kernel = module.run
    return run


def cache_folder() -> Path:
    """A private folder for generated code, kept between processes where that is possible."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "pilothouse" / "kernels"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = _why_not_private(folder)
    except OSError as error:
        reason = str(error)
    if not reason:
        return folder
    log.warning("compiled kernels are not kept: %s", reason)
    return _temporary_folder()


@cache
def _temporary_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="pilothouse-kernels-"))


def _why_not_private(folder: Path) -> str:
    """Empty when the folder is a real one, ours, writable, and closed to everybody else."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return f"{folder} is not a folder"
    if found.st_uid != os.getuid():
        return f"{folder} belongs to another user"
    if stat.S_IMODE(found.st_mode) & 0o077:
        return f"{folder} is open to others (mode {stat.S_IMODE(found.st_mode):o}, expected 700)"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"{folder} cannot be written"


def _write(path: Path, source: str) -> None:
    """Put the source there in one motion; an equal file stays, so its machine code stays valid."""
    if path.exists() and path.read_text(encoding="utf-8") == source:
        return
    handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(source)
    Path(draft).replace(path)
