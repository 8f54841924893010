"""Signs manifests, and says whose signatures make one believable."""

from collections.abc import Mapping
from typing import Any

from plugins.admission import OpenManifest, Signed
from plugins.manifest import PluginManifest
from safety.keys import Signer
from safety.signing import co_sign, open_envelope, sign_statement
from safety.trust_root import TrustRoot

MANIFEST_TYPE = "https://pilothouse.dev/predicates/plugin-manifest/v1"
ROLE = "engineer"


def sign_manifest(manifest: PluginManifest, *signers: Signer) -> dict[str, Any]:
    """An envelope round `manifest`, about its component, signed by all of `signers`."""
    first, *others = signers
    subjects = {f"{manifest.id}.wasm": manifest.component}
    envelope = sign_statement(MANIFEST_TYPE, subjects, manifest, first)
    for signer in others:
        envelope = co_sign(envelope, signer)
    return envelope


def trusted_by(root: TrustRoot, min_persons: int) -> OpenManifest:
    """Believe manifests that `min_persons` distinct engineers of `root` have signed."""

    def open_manifest(envelope: Mapping[str, Any]) -> Signed:
        return open_envelope(
            envelope, root, ROLE, statement_type=MANIFEST_TYPE, threshold=min_persons
        )

    return open_manifest
