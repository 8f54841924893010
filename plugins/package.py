"""A plugin as a folder: `manifest.json` and the one component beside it."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from graph.canonical import digest_bytes, strict_loads
from graph.errors import InputError, IntegrityError, first_error
from plugins.manifest import PluginManifest

_MAX_MANIFEST_BYTES = 64 << 10


@dataclass(frozen=True)
class Package:
    """What an author hands over to be signed."""

    manifest: PluginManifest
    component: bytes


def read_package(folder: Path) -> Package:
    """Read a plugin's folder.

    Raises:
        InputError: a file is missing, the manifest is wrong (names the field), or it is about other
            bytes than the component's.
    """
    path = folder / "manifest.json"
    components = sorted(folder.glob("*.wasm"))
    if len(components) != 1:
        raise InputError(f"{folder} holds {len(components)} files *.wasm, expected one component")
    try:
        component = components[0].read_bytes()
        document = strict_loads(path.read_bytes(), _MAX_MANIFEST_BYTES)
        manifest = PluginManifest.model_validate(document)
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error
    except IntegrityError as error:
        raise InputError(f"{path}: {error.message}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {first_error(error, 'manifest')}") from error
    found = digest_bytes(component)
    if manifest.component != found:
        raise InputError(
            f"{path}: component is {manifest.component}, {components[0].name} has {found}",
            "after each build, put the new digest into the manifest",
        )
    return Package(manifest, component)
