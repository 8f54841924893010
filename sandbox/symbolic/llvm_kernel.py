"""Compiles generated code with LLVM (through llvmlite) and keeps it: in memory, and on disk.

Machine code is stored in `<cache>/pilothouse/kernels/`, named by the digest of the source, the
library's version and the processor. What lies there is executed, so the folder must be this
user's alone (mode 0700); where that cannot be had, nothing is kept.
"""

import ctypes
import hashlib
import importlib.util
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from graph.errors import UnavailableError

log = logging.getLogger(__name__)

Kernel = Callable[..., None]
OPTIMISATION = 2
DIGEST_BYTES = 32
_compiling = Lock()  # LLVM's set-up is not made for several threads
_kept: dict[str, tuple[Any, Kernel]] = {}


def installed() -> bool:
    """Whether the compiler can be imported (looked up, not imported)."""
    return importlib.util.find_spec("llvmlite") is not None


def compiled(source: str, functions: Sequence[str]) -> Kernel:
    """The function `run` of the assembly, which calls these functions of the C library.

    Raises UnavailableError when llvmlite or one of the functions is missing.
    """
    with _compiling:
        key = hashlib.sha256(source.encode()).hexdigest()
        if key not in _kept:
            _kept[key] = _load(source, functions)
        return _kept[key][1]


def _load(source: str, functions: Sequence[str]) -> tuple[Any, Kernel]:
    try:
        import llvmlite
        import llvmlite.binding as llvm
    except ImportError as error:
        raise UnavailableError(
            f"compiled roll-outs need llvmlite: {error}", 'use backend="numpy", or install it'
        ) from error
    _offer(llvm, functions)
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    processor, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(
        cpu=processor, features=features, opt=OPTIMISATION, jit=True, codemodel="jitdefault"
    )
    named = "\n".join((llvmlite.__version__, target.triple, processor, features, source))
    name = hashlib.sha256(named.encode()).hexdigest()
    code = _stored(name)
    if code is None:
        code = _machine_code(llvm, machine, source)
        _keep(name, code)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, _callable(engine.get_function_address("run"))


def _machine_code(llvm: Any, machine: Any, source: str) -> bytes:
    module = llvm.parse_assembly(source)
    module.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=OPTIMISATION)
    # The code is in vectors already; what is left to vectorise would become slow gathers.
    tuning.loop_vectorization = tuning.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    return bytes(machine.emit_object(module))


def _callable(address: int) -> Kernel:
    """The machine code as a function of addresses and counts; it runs without Python's lock."""
    pointer, count = ctypes.c_void_p, ctypes.c_int64
    kinds = [pointer] * 4 + [ctypes.c_double] + [count] * 7 + [pointer] * 2
    return ctypes.CFUNCTYPE(None, *kinds)(address)


def _offer(llvm: Any, functions: Sequence[str]) -> None:
    """Tell LLVM where the C library's functions are: one that it cannot find ends the process."""
    library = _c_library()
    for name in functions:
        try:
            address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
        except AttributeError:
            raise UnavailableError(
                f"the C library of this machine has no {name}", 'use backend="numpy"'
            ) from None
        llvm.add_symbol(name, address)


@cache
def _c_library() -> ctypes.CDLL:
    names = {"darwin": "libSystem.dylib", "win32": "ucrtbase"}
    try:
        return ctypes.CDLL(names.get(sys.platform, "libm.so.6"))
    except OSError:  # a C library that keeps its mathematics in itself
        return ctypes.CDLL(None)


def cache_folder() -> Path | None:
    """A private folder for compiled code; None where it cannot be had."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "pilothouse" / "kernels"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = _why_not_private(folder)
    except (OSError, RuntimeError) as error:  # nowhere to write, or nobody's home
        reason = str(error)
    if reason:
        log.warning("compiled roll-outs are not kept: %s", reason)
        return None
    return folder


def _why_not_private(folder: Path) -> str:
    """Empty when the folder is a real one, ours, writable, and closed to everybody else."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return f"{folder} is not a folder"
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        return f"{folder} belongs to another user"
    if stat.S_IMODE(found.st_mode) & 0o077:
        return f"{folder} is open to others (mode {stat.S_IMODE(found.st_mode):o}, expected 700)"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"{folder} cannot be written"


def _stored(name: str) -> bytes | None:
    """Machine code kept under this name; None when there is none or it is damaged."""
    folder = cache_folder()
    try:
        content = (folder / f"{name}.o").read_bytes() if folder else b""
    except OSError:
        return None
    found, code = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return code if found == hashlib.sha256(code).digest() else None


def _keep(name: str, code: bytes) -> None:
    folder = cache_folder()
    if folder is None:
        return
    try:  # put there in one motion: another process may be reading
        handle, draft = tempfile.mkstemp(dir=folder, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        Path(draft).replace(folder / f"{name}.o")
    except OSError as error:
        log.warning("compiled roll-outs are not kept: %s", error)
