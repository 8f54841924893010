"""Twin-as-code: a folder that declares a site, read with errors that name file, line and field."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from graph.canonical import digest
from graph.errors import SitePackError
from graph.record import Record
from graph.site import Site
from graph.site_schema import describe, schema_place
from graph.telemetry import Frame, read_frame
from graph.yaml_document import Document, read_yaml

MAX_POLICY_BYTES = 256 * 1024


class NamedIntent(Record):
    """A sentence of `intents.yaml` that operators of this site often use."""

    name: str
    text: str
    description: str = ""


class FaultSpec(Record):
    """A fault of `faults.yaml` that a twin or an emulated plant can show."""

    name: str
    description: str = ""
    parameters: dict[str, float | bool | str] = Field(default_factory=dict)


@dataclass(frozen=True)
class SitePack:
    """A loaded pack.

    digest: of the site's canonical document. policies: file stem -> Rego text. carbon: column
    `g_per_kwh`, or None where the pack has no such file.
    """

    folder: Path
    site: Site
    digest: str
    policies: Mapping[str, str]
    carbon: Frame | None
    intents: tuple[NamedIntent, ...]
    faults: tuple[FaultSpec, ...]

    def file(self, name: str) -> Path:
        """The path of a file that the pack names. Raises SitePackError if it leads out of it."""
        return inner_path(self.folder, name)

    def telemetry(self) -> Frame:
        """The recorded telemetry, checked against the site; NaN marks missing samples."""
        return load_telemetry(self.folder, self.site)


def load_site(folder: Path) -> SitePack:
    """Read and check `site.yaml`, policies, carbon series, intents and faults of a pack.

    Telemetry is checked by `load_telemetry`: it is big, and not everyone needs it.

    Raises:
        SitePackError: with file, line, field and what was expected.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SitePackError("is not a folder", "expected a site pack", str(folder))
    document = read_yaml(inner_path(folder, "site.yaml"), "site.yaml")
    site = _site(document)
    _check_file_names(document, site, folder)
    return SitePack(
        folder=folder,
        site=site,
        digest=site_digest(site),
        policies=_policies(folder),
        carbon=_carbon(folder, site),
        intents=_records(folder, "intents", NamedIntent),
        faults=_records(folder, "faults", FaultSpec),
    )


def site_digest(site: Site) -> str:
    """sha256 of the site's canonical document; the one that proposals carry."""
    return digest(site.model_dump(mode="json"))


def site_from_document(document: Mapping[str, Any]) -> Site:
    """A site from its JSON document, e.g. out of a bundle.

    Raises:
        SitePackError: with the field that is wrong.
    """
    return _site(Document("site document", dict(document), {}))


def inner_path(folder: Path, name: str) -> Path:
    """`folder/name`, proven to lie inside `folder`, symbolic links resolved.

    Raises:
        SitePackError: an absolute name, one with `..`, or a link that leads out of the pack.
    """
    parts = name.replace("\\", "/").split("/")
    if not name or "\0" in name or name[0] in "/\\~" or ":" in parts[0] or ".." in parts:
        raise SitePackError(
            f"the file name {name!r} leads out of the pack", "expected a relative name", str(folder)
        )
    path = folder / name
    root = folder.resolve()
    if not path.resolve().is_relative_to(root):
        raise SitePackError(
            f"{name} is a link that leads out of the pack", "copy the file in", str(folder)
        )
    return path


def load_telemetry(folder: Path, site: Site) -> Frame:
    """The pack's telemetry with every declared signal as a column.

    Raises:
        SitePackError: a missing column or file, a wrong time axis, a step other than the site's,
            values that the signal's declared range excludes by far (a wrong unit).
    """
    name = site.data.telemetry
    frame = read_frame(inner_path(folder, name), [s.id for s in site.signals], name=name)
    if frame.step_s != site.step_s:
        raise SitePackError(
            f"the step is {frame.step_s} s", f"expected the site's {site.step_s} s", name, 0, "time"
        )
    for spec in site.signals:
        _check_range(frame, spec.id, spec.unit, spec.minimum, spec.maximum, name)
    return frame


def _check_range(
    frame: Frame, signal: str, unit: str, minimum: float, maximum: float, name: str
) -> None:
    """A single outlier is a fault to diagnose; a median outside the range is a wrong unit."""
    import numpy as np

    values = frame.column(signal)
    values = values[np.isfinite(values)]
    if not len(values):
        raise SitePackError("holds no value at all", "record it or drop it", name, 0, signal)
    median = float(np.median(values))
    if not minimum <= median <= maximum:
        raise SitePackError(
            f"half of the values lie beyond {median:g} {unit}",
            f"expected {minimum:g} to {maximum:g} {unit}; is the unit another?", name, 0, signal,
        )  # fmt: skip


def _site(document: Document) -> Site:
    if not isinstance(document.value, dict):
        raise document.error("holds no mapping", (), "expected fields such as id, assets, signals")
    try:
        return Site.model_validate(document.value)
    except ValidationError as error:
        # A misspelt field is also a missing one: its name is the better news.
        problems = sorted(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
        message, hint, relative = describe(Site, problems[0])
        if len(problems) > 1:
            hint = f"{hint}; {len(problems) - 1} more after this one".lstrip("; ")
        place = schema_place(problems[0]["loc"], document.value) + relative
        raise document.error(message, place, hint) from error


def _check_file_names(document: Document, site: Site, folder: Path) -> None:
    for place, name in (
        (("data", "telemetry"), site.data.telemetry),
        (("data", "carbon"), site.data.carbon),
        (("twin", "parameters"), site.twin.parameters),
        (("twin", "model"), site.twin.model),
        (("learned_policy",), site.learned_policy),
    ):
        if name is None:
            continue
        try:
            inner_path(folder, name)
        except SitePackError as error:
            raise document.error(error.message, place, error.hint) from error


def _policies(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted((folder / "policies").glob("*.rego")):
        name = f"policies/{path.name}"
        with inner_path(folder, name).open("rb") as stream:
            data = stream.read(MAX_POLICY_BYTES + 1)
        if len(data) > MAX_POLICY_BYTES:
            raise SitePackError(f"more than {MAX_POLICY_BYTES} bytes", "split it", name)
        try:
            found[path.stem] = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise SitePackError("not UTF-8", "save the file as UTF-8", name) from error
    return found


def _carbon(folder: Path, site: Site) -> Frame | None:
    name = site.data.carbon
    if name is None:
        return None
    path = inner_path(folder, name)
    return read_frame(path, ["g_per_kwh"], missing_allowed=False, minimum=0.0, name=name)


RecordT = TypeVar("RecordT", bound=Record)


def _records(folder: Path, key: str, kind: type[RecordT]) -> tuple[RecordT, ...]:
    """The list `key` of the optional file `<key>.yaml`; an empty tuple without the file."""
    name = f"{key}.yaml"
    path = inner_path(folder, name)
    if not path.exists():
        return ()
    document = read_yaml(path, name)
    items = document.value.get(key) if isinstance(document.value, dict) else None
    if not isinstance(items, list):
        raise document.error(f"holds no list {key!r}", (), f"expected `{key}:` and a list")
    extra = sorted(set(document.value) - {key})
    if extra:
        raise document.error(f"unknown field {extra[0]!r}", (extra[0],), f"expected only {key}")
    found = []
    for index, item in enumerate(items):
        try:
            found.append(kind.model_validate(item))
        except ValidationError as error:
            problem = error.errors()[0]
            message, hint, relative = describe(kind, problem)
            place = (key, index, *schema_place(problem["loc"], item), *relative)
            raise document.error(message, place, hint) from error
    return tuple(found)
