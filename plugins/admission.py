"""What must hold before a stranger's bytes are compiled."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from pydantic import ValidationError

from graph.canonical import digest_bytes
from graph.errors import RefusedError, first_error
from plugins.limits import HostLimits
from plugins.manifest import WORLD, Grant, PluginManifest, check_grant

MAGIC = b"\0asm\x0d\0\x01\0"  # a component; a core module has 01 00 00 00 here, WAT text a bracket


class Signed(Protocol):
    """A statement whose signature has been checked."""

    @property
    def predicate(self) -> Mapping[str, Any]:
        """What was signed."""
        ...

    @property
    def persons(self) -> Sequence[str]:
        """Who signed it."""
        ...


OpenManifest = Callable[[Mapping[str, Any]], Signed]
"""Opens a signed envelope or raises a PilothouseError: the trust root, the role and the number of
persons are bound in by whoever wires it."""


def admit(
    envelope: Mapping[str, Any],
    component: bytes,
    grant: Grant,
    open_manifest: OpenManifest,
    limits: HostLimits,
) -> PluginManifest:
    """Check a plugin from the outside and return its manifest.

    1. The component's size is within bounds. 2. Its first bytes are a binary component's (wasmtime
    would take WAT text, too). 3. The envelope is signed as `open_manifest` demands. 4. What was
    signed is a plugin manifest, with asks within the host's caps. 5. Its digest is the component's.
    6. It was built for a world that this host offers. 7. The grant is for it, and no more than it
    asks. What is inside the component is checked in its own process: `Guest.load`.

    Raises:
        RefusedError: reason size, not_a_component, manifest, digest, world or grant.
        PilothouseError: whatever `open_manifest` raises.
    """
    if len(component) > limits.component_bytes:  # 1
        raise RefusedError(
            "size", f"the component has {len(component)} bytes, {limits.component_bytes} allowed"
        )
    if component[:8] != MAGIC:  # 2
        raise RefusedError(
            "not_a_component",
            f"the file begins with {component[:8]!r}, not with a binary component's magic",
            "WAT text and core modules are not taken: run `wasm-tools component new` on them",
        )
    manifest = _manifest_of(open_manifest(envelope).predicate)  # 3, 4
    found = digest_bytes(component)
    if manifest.component != found:  # 5
        raise RefusedError(
            "digest",
            f"{manifest.id} was signed for {manifest.component}, the file has {found}",
            "the file was changed after signing, or the manifest is another build's",
        )
    if manifest.world != WORLD:  # 6
        raise RefusedError("world", f"built for {manifest.world!r}, this host offers {WORLD!r}")
    check_grant(manifest, grant)  # 7
    return manifest


def _manifest_of(predicate: Mapping[str, Any]) -> PluginManifest:
    try:
        return PluginManifest.model_validate(dict(predicate))
    except ValidationError as error:
        raise RefusedError(
            "manifest", first_error(error, "manifest"),
            "see the reference of the plugin's manifest",
        ) from error  # fmt: skip
