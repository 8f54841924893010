"""C that CasADi wrote, compiled once and kept beside the roll-outs' machine code.

A library is named by the digest of what it was made from, so a changed model never meets old code.
What lies there is executed: the folder must be this user's alone (`llvm_kernel.cache_folder`), and
a library is used only while its digest is the one that was noted when it was written.
"""

import hashlib
import logging
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from sandbox.symbolic.llvm_kernel import cache_folder

log = logging.getLogger(__name__)
# No contraction to fused operations: the interpreter has none, and both must agree.
FLAGS = ("-O1", "-fPIC", "-shared", "-ffp-contract=off")
COMPILERS = ("cc", "gcc", "clang")
TIMEOUT_S = 300.0


@cache
def c_compiler() -> str | None:
    """Full path of a C compiler; None where there is none."""
    return next((found for c in COMPILERS if (found := shutil.which(c))), None)


def stored_library(name: str) -> Path | None:
    """The library kept under this name; None when there is none or it is not what was written."""
    folder = cache_folder()
    if folder is None:
        return None
    library = folder / f"{name}.so"
    try:
        noted = (folder / f"{name}.so.sha256").read_text()
        return library if noted == _digest(library) else None
    except OSError:
        return None


def make_library(name: str, write: Callable[[Path], Path]) -> Path | None:
    """Compile and keep what `write(folder)` puts there as a C file.

    None without a compiler or a place to keep it; the reason is logged where it is not obvious.
    """
    compiler, folder = c_compiler(), cache_folder()
    if compiler is None or folder is None:
        return None
    with tempfile.TemporaryDirectory(dir=folder) as work:
        source, made = write(Path(work)), Path(work) / "made.so"
        command = [compiler, *FLAGS, str(source), "-o", str(made), "-lm"]
        try:
            done = subprocess.run(  # noqa: S603 (our own source, a compiler found on the path)
                command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("%s did not compile: %s", name, error)
            return None
        if done.returncode:
            log.warning("%s did not compile: %s", name, done.stderr[-500:])
            return None
        (folder / f"{name}.so.sha256").write_text(_digest(made))
        made.replace(folder / f"{name}.so")
    return stored_library(name)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
