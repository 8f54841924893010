"""An FMU's zip file, checked before anything of it reaches the disk.

The file comes from outside. What must hold, in this order:

1. it is a file of bounded size whose zip directory is bounded, too, before anybody reads it;
2. it has a bounded number of entries, which unpack to a bounded size, with no name twice;
3. every name stays inside: relative, forward slashes, no `..`, no drive, no NUL;
4. every entry is a plain file or folder (no link, no device), not encrypted, stored or deflated.

Only `modelDescription.xml`, `resources/` and one platform's binaries are unpacked, into fresh
files, and no more bytes are written than were declared.
"""

import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from graph.errors import InputError
from sandbox.fmi.limits import MIB, FmuLimits

DESCRIPTION = "modelDescription.xml"
MAX_DESCRIPTION_BYTES = 64 * MIB
MAX_DIRECTORY_BYTES = 4 * MIB  # 20,000 entries with names of 100 letters take 3 MiB
END_RECORD, END_BYTES = b"PK\x05\x06", 22
MAX_NAME = 500
CHUNK = 1 << 20
ASK = "ask its maker for a whole file, or export it again"


@dataclass(frozen=True)
class FmuArchive:
    """A zip file that passed the checks; `names` are its files."""

    path: Path
    names: tuple[str, ...]

    def description(self) -> bytes:
        """The bytes of `modelDescription.xml`. Raises InputError."""
        if DESCRIPTION not in self.names:
            raise InputError(f"{self.path.name} holds no {DESCRIPTION}", "expected an FMU")
        try:
            with zipfile.ZipFile(self.path) as source, source.open(DESCRIPTION) as stream:
                data = stream.read(MAX_DESCRIPTION_BYTES + 1)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise InputError(f"{self.path.name}: {DESCRIPTION}: {error}", ASK) from error
        if len(data) > MAX_DESCRIPTION_BYTES:
            raise InputError(
                f"{self.path.name}: {DESCRIPTION} is larger than {MAX_DESCRIPTION_BYTES // MIB} MiB"
            )
        return data

    def unpack(self, folder: Path, binaries: str) -> None:
        """Write what a run needs into the empty `folder`: resources and the folder `binaries`.

        Raises InputError when the zip file is damaged or holds more than it declared.
        """
        wanted = [
            n for n in self.names
            if n == DESCRIPTION or n.startswith(("resources/", f"{binaries}/"))
        ]  # fmt: skip
        (folder / "resources").mkdir()
        with zipfile.ZipFile(self.path) as source:
            for name in wanted:
                try:
                    _write(source, name, folder / name)
                except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
                    raise InputError(f"{self.path.name}: {name}: {error}", ASK) from error


def open_archive(path: Path, limits: FmuLimits) -> FmuArchive:
    """Check an FMU's zip file (steps 1 to 4 above). Raises InputError."""
    if not path.is_file():
        raise InputError(f"there is no FMU {path}", "expected an .fmu file")
    _check_directory(path, limits)
    try:
        with zipfile.ZipFile(path) as source:
            entries = source.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"{path.name} is not a readable zip file: {error}", ASK) from error
    if len(entries) > limits.entries:
        raise InputError(f"{path.name} has {len(entries)} entries, more than {limits.entries}")
    total = sum(e.file_size for e in entries)
    if total > limits.unpacked_mb * MIB:
        raise InputError(
            f"{path.name} would unpack to {total / MIB:.0f} MiB, more than {limits.unpacked_mb}",
            "a zip bomb, or raise FmuLimits.unpacked_mb",
        )
    seen: set[str] = set()
    for entry in entries:
        reason = _refusal(entry)
        if not reason and entry.filename in seen:
            reason = "is there twice"
        if reason:
            raise InputError(f"{path.name}: the entry {entry.filename[:120]!r} {reason}", ASK)
        seen.add(entry.filename)
    return FmuArchive(path, tuple(e.filename for e in entries if not e.is_dir()))


def _check_directory(path: Path, limits: FmuLimits) -> None:
    """Step 1: the end record says how large the directory is that a reader would load."""
    size = path.stat().st_size
    if size > limits.unpacked_mb * MIB:
        raise InputError(f"{path.name} has {size} bytes, more than {limits.unpacked_mb} MiB")
    with path.open("rb") as stream:
        stream.seek(max(size - END_BYTES - 0xFFFF, 0))
        tail = stream.read()
    record = tail[tail.rfind(END_RECORD) :] if END_RECORD in tail else b""
    if len(record) < END_BYTES:
        raise InputError(f"{path.name} is not a zip file", "an FMU is a zip file")
    if int.from_bytes(record[12:16], "little") > MAX_DIRECTORY_BYTES:
        raise InputError(f"{path.name}: the zip directory is too large", ASK)


def _refusal(entry: zipfile.ZipInfo) -> str:
    name = entry.filename
    parts = PurePosixPath(name).parts
    if not name or len(name) > MAX_NAME or name != entry.orig_filename:
        return "has no usable name"
    if name[0] in "/~" or "\\" in name or ":" in name or ".." in parts:
        return "leads out of the FMU"
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if entry.flag_bits & 0x1:
        return "is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed by a method that FMI does not allow"
    return ""


def _write(source: zipfile.ZipFile, name: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    left = source.getinfo(name).file_size
    with source.open(name) as packed, target.open("xb") as plain:
        while chunk := packed.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile("more bytes than declared")
            plain.write(chunk)
    target.chmod(0o700)
