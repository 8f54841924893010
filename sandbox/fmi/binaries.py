"""Where an FMU keeps its binary for this machine."""

import platform
import sys

from graph.errors import InputError
from sandbox.fmi.archive import FmuArchive

SYSTEMS = {"linux": ("linux", ".so"), "darwin": ("darwin", ".dylib"), "win32": ("windows", ".dll")}
FMI2_FOLDERS = {"linux": "linux64", "darwin": "darwin64", "windows": "win64"}
ARCHITECTURES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


def binary_of(archive: FmuArchive, version: str, identifier: str) -> tuple[str, str]:
    """The folder of the binaries and the library's path, both inside the FMU.

    FMI 2.0 names a folder by system only and means x86-64; FMI 3.0 names both.

    Raises:
        InputError: there is none for this machine; the error says for which there is one.
    """
    system, suffix = SYSTEMS.get(sys.platform, (sys.platform, ".so"))
    architecture = ARCHITECTURES.get(platform.machine().lower(), platform.machine())
    tuple_name = f"{architecture}-{system}"
    folders = [tuple_name]
    if version == "2.0" and (architecture == "x86_64" or system == "darwin"):
        folders.insert(0, FMI2_FOLDERS.get(system, system))
    for folder in folders:
        library = f"binaries/{folder}/{identifier}{suffix}"
        if library in archive.names:
            return f"binaries/{folder}", library
    inside = [n.split("/") for n in archive.names if n.startswith("binaries/")]
    offered = ", ".join(sorted({parts[1] for parts in inside if len(parts) > 2})) or "none"
    raise InputError(
        f"{archive.path.name} has no binary binaries/{folders[0]}/{identifier}{suffix}",
        f"it has binaries for: {offered}; export it for {tuple_name}",
    )
