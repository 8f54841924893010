"""YAML from outside: bounded, without aliases, and every value knows its line.

Scalars follow YAML 1.2's core schema: `16:00` and `2026-01-20` stay text, and only `true` and
`false` are booleans (YAML 1.1 reads 16:00 as 960 and `no` as false).
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graph.errors import SitePackError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
Place = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_CORE_SCHEMA = (
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$")),
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")),
    ("int", re.compile(r"^[-+]?[0-9]+$")),
    ("float", re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")),
    ("float", re.compile(r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")),
)


@dataclass(frozen=True)
class Document:
    """A parsed file: its value, and the line (from 1) of each place in it."""

    file: str
    value: Any
    lines: dict[Place, int]

    def line(self, place: Place) -> int:
        """The line of `place`, or of the nearest enclosing one that exists."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def error(self, message: str, place: Place, hint: str = "") -> SitePackError:
        """An error at `place`, ready to raise."""
        return SitePackError(message, hint, self.file, self.line(place), field_name(place))


def field_name(place: Place) -> str:
    """`assets[3].capacity_kwh` for ("assets", 3, "capacity_kwh")."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read_yaml(path: Path, name: str = "", limit: int = MAX_BYTES) -> Document:
    """Parse `path`. `name` stands for the file in errors (default: its path).

    Raises:
        SitePackError: missing, too big, not UTF-8, not YAML, an alias, a tag, a duplicate key,
            NaN or an infinity; with file, line and field.
    """
    name = name or str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise SitePackError(f"cannot be read: {error.strerror}", "expected a file", name) from error
    if len(data) > limit:
        raise SitePackError(f"more than {limit} bytes", "series belong into Parquet or CSV", name)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SitePackError("not UTF-8", "save the file as UTF-8", name, line) from error
    return parse_yaml(text, name)


def parse_yaml(text: str, name: str) -> Document:
    """Parse YAML text; see `read_yaml`."""
    import yaml

    try:
        _check_events(text, name)
        node = yaml.compose(text, Loader=_loader())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        position = getattr(error, "position", 0)
        line = mark.line + 1 if mark else text.count("\n", 0, position) + 1
        line = min(line, len(text.splitlines()) or 1)  # the end of the file lies on its last line
        raise SitePackError(
            f"not YAML: {problem}", "check indent and quotes", name, line
        ) from error
    lines: dict[Place, int] = {(): 1}
    value = None if node is None else _build(node, (), name, lines)
    return Document(name, value, lines)


def _loader() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class CoreSchemaLoader(base):  # type: ignore[misc]
        yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 (PyYAML's own attribute)

    for tag, pattern in _CORE_SCHEMA:
        CoreSchemaLoader.add_implicit_resolver(_TAG + tag, pattern, None)
    return CoreSchemaLoader


def _check_events(text: str, name: str) -> None:
    """Refuse aliases (a few lines of them expand to gigabytes), depth and second documents."""
    import yaml

    depth, documents = 0, 0
    for event in yaml.parse(text, Loader=_loader()):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise SitePackError(
                f"the alias *{event.anchor} is not allowed", "write the value out", name, line
            )
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            raise SitePackError("a second document", "expected one document", name, line)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise SitePackError(f"nests deeper than {MAX_DEPTH}", "flatten it", name, line)


def _build(node: Any, place: Place, name: str, lines: dict[Place, int]) -> Any:
    import yaml

    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
        return [_build(n, (*place, i), name, lines) for i, n in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
        return _build_mapping(node, place, name, lines)
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, place, name)
    raise SitePackError(
        f"the tag {node.tag} is not allowed", "remove it", name, lines[place], field_name(place)
    )


def _build_mapping(node: Any, place: Place, name: str, lines: dict[Place, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = getattr(key_node, "value", None)
        if not isinstance(key, str):
            raise SitePackError("a key is not text", "expected a name", name, line)
        inner = (*place, key)
        if key in found:
            raise SitePackError(
                f"the key {key!r} is here twice (first on line {first[key]})",
                "keep one of them", name, line, field_name(inner),
            )  # fmt: skip
        first[key] = line
        found[key] = _build(value_node, inner, name, lines)
        lines[inner] = line
    return found


def _scalar(node: Any, place: Place, name: str) -> Any:
    text: str = node.value
    kind = node.tag.removeprefix(_TAG)
    try:
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return int(text)
        if kind == "float":
            number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
            if math.isfinite(number):
                return number
    except ValueError:
        kind = "value"
    message = (
        f"{text} is not a finite number" if kind == "float" else f"the tag {node.tag} on {text!r}"
    )
    raise SitePackError(
        message, "expected plain text or a finite number", name,
        node.start_mark.line + 1, field_name(place),
    )  # fmt: skip
