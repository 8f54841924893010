"""EnergyPlus input files: objects in order, found by class, changed by field, written again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from graph.errors import InputError


@dataclass
class IdfObject:
    """One object: its class and its fields, the name first (where the class has one)."""

    kind: str
    fields: list[str]

    def is_a(self, *kinds: str) -> bool:
        """Whether it is of one of these classes; EnergyPlus ignores case."""
        return self.kind.lower() in {k.lower() for k in kinds}

    @property
    def name(self) -> str:
        """The first field."""
        return self.fields[0] if self.fields else ""

    def __str__(self) -> str:
        return f"{self.kind},\n  " + ",\n  ".join(self.fields) + ";\n"


class Idf:
    """A building's input, in the file's order."""

    def __init__(self, objects: Iterable[IdfObject]) -> None:
        self.objects = list(objects)

    @classmethod
    def read(cls, path: Path) -> "Idf":
        """Parse a file. Raises InputError for one that cannot be read or holds no object."""
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}", "expected an EnergyPlus .idf") from error
        bare = "\n".join(line.split("!", 1)[0] for line in text.splitlines())
        chunks = [chunk.strip() for chunk in bare.split(";")]
        parts = [[f.strip() for f in chunk.split(",")] for chunk in chunks if chunk]
        if not parts:
            raise InputError(f"{path} holds no object", "expected an EnergyPlus .idf")
        return cls(IdfObject(p[0], p[1:]) for p in parts)

    def write(self, path: Path) -> None:
        """Write all objects."""
        path.write_text("\n".join(str(o) for o in self.objects), encoding="utf-8")

    def of(self, *kinds: str) -> list[IdfObject]:
        """All objects of these classes."""
        return [o for o in self.objects if o.is_a(*kinds)]

    def named(self, name: str, starts: str = "") -> list[IdfObject]:
        """Objects whose first field is `name` and whose class begins with `starts`."""
        return [
            o for o in self.objects
            if o.name.lower() == name.lower() and o.kind.lower().startswith(starts.lower())
        ]  # fmt: skip

    def remove(self, wanted: Callable[[IdfObject], bool]) -> None:
        """Drop every object that `wanted` picks."""
        self.objects = [o for o in self.objects if not wanted(o)]

    def add(self, kind: str, *fields: object) -> IdfObject:
        """Append an object."""
        added = IdfObject(kind, [str(f) for f in fields])
        self.objects.append(added)
        return added
