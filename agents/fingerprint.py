"""What a decision was computed with: processor features and library versions.

Floating-point results can differ between processors (fused multiply-add, vector width) and between
library versions; a replay compares fingerprints before it compares bytes.
"""

import hashlib
import platform
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

LIBRARIES = (
    "numpy", "scipy", "highspy", "casadi", "llvmlite", "pydantic", "regopy", "pilothouse",
)  # fmt: skip
ROOMS = ("agents", "graph", "planner", "plugins", "safety", "sandbox")


@cache
def fingerprint() -> dict[str, str]:
    """Names and versions, by library; `cpu` sums up the processor's features."""
    found = {name: _version(name) for name in LIBRARIES}
    found["python"] = platform.python_version()
    found["cpu"] = f"{platform.machine()}/{_cpu_digest()}"
    return found


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _cpu_digest() -> str:
    """First 16 hex digits of a hash over the features that NumPy dispatches on."""
    umath: Any = import_module("numpy._core._multiarray_umath")
    features: dict[str, bool] = umath.__cpu_features__
    text = ",".join(sorted(name for name, present in features.items() if present))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def code_digest() -> str:
    """sha256 over the sources of the rooms that take part in a decision."""
    root = Path(__file__).resolve().parents[1]
    total = hashlib.sha256()
    for room in ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            total.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes() + b"\0")
    return f"sha256:{total.hexdigest()}"
