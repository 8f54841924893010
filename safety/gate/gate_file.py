"""The gate's configuration file: its limits, its plant, its door. Errors name file and field."""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from graph.errors import InputError, first_error
from graph.record import Record
from graph.site import Site
from safety.gate.config import GateConfig, config_from_site
from safety.tls import TlsFiles

MAX_FILE_BYTES = 1_000_000


class PlantEndpoint(Record):
    """Where the plant is, and which of its signals the gate reads."""

    endpoint: str = Field(min_length=1, description="opc.tcp://host:port/...")
    namespace: str = Field(min_length=1)
    signals: tuple[str, ...] = Field(min_length=1)


class Door(Record):
    """Where the gate listens, whom it lets in, and what it believes. Paths are relative to the
    file.
    """

    host: str = "127.0.0.1"
    port: int = Field(8471, ge=0, le=65535)
    ca: Path
    certificate: Path
    key: Path
    root: Path = Field(description="root.json: whose signatures count")
    signing_key: Path = Field(description="the gate's own key, for its reports")
    passphrase_env: str = Field("", description="environment variable with the key's passphrase")
    state_dir: Path
    services: tuple[str, ...] = ("service",)
    consoles: tuple[str, ...] = ("operator-console",)
    required_rules: tuple[str, ...] = Field((), description="rule ids that must have passed")


class GateFile(Record):
    """The whole file."""

    schema_version: Literal["pilothouse/gate/v1"] = "pilothouse/gate/v1"
    gate: GateConfig
    plant: PlantEndpoint
    door: Door

    @property
    def tls(self) -> TlsFiles:
        """Paths of the gate's certificate, key and authority."""
        return TlsFiles(self.door.ca, self.door.certificate, self.door.key)


def gate_file_from_site(site: Site, door: Door, **overrides: Any) -> GateFile:
    """A first file for a site, to be reviewed. `overrides` go to `config_from_site`."""
    return GateFile(
        gate=config_from_site(site, **overrides),
        plant=PlantEndpoint(
            endpoint=site.plant.endpoint or "opc.tcp://127.0.0.1:4840",
            namespace=site.plant.namespace,
            signals=tuple(s.id for s in site.signals),
        ),
        door=door,
    )


def write_gate_file(path: Path, file: GateFile) -> None:
    """Write the file as YAML."""
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(file.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def load_gate_file(path: Path) -> GateFile:
    """Read the file.

    Raises:
        InputError: naming the file and the field that is wrong.
    """
    value = _read_yaml(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected a mapping with gate, plant and door")
    try:
        file = GateFile.model_validate(value)
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error)}") from error
    here = path.resolve().parent
    names = ("ca", "certificate", "key", "root", "signing_key", "state_dir")
    absolute = {name: here / getattr(file.door, name) for name in names}
    return file.model_copy(update={"door": file.door.model_copy(update=absolute)})


def _read_yaml(path: Path) -> Any:
    import yaml

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the gate's configuration {path}: {error.strerror}"
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{path} has {len(data)} bytes, more than {MAX_FILE_BYTES}")
    try:
        text = data.decode("utf-8")
        _refuse_duplicates(yaml.compose(text, Loader=yaml.SafeLoader), path)
        return yaml.safe_load(text)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} is not YAML: {error}") from error


def _refuse_duplicates(node: Any, path: Path, name: str = "") -> None:
    """YAML keeps the last of two equal keys; a limit that is written twice is a mistake."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            field = f"{name}.{key.value}".lstrip(".")
            if key.value in seen:
                line = key.start_mark.line + 1
                raise InputError(f"{path}:{line}: {field}: is there twice")
            seen.add(key.value)
            _refuse_duplicates(value, path, field)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _refuse_duplicates(value, path, f"{name}.{index}")
