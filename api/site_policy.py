"""The learned policy that a pack names, if engineers of this workspace's root have signed it."""

import logging
from collections.abc import Mapping
from typing import Any

from graph.errors import PilothouseError, SitePackError
from graph.sitepack import SitePack
from planner.rl.observation import ObservationSpace
from planner.rl.onnx_policy import ControlPolicy, Opened, load_policy
from planner.rl.policy_manifest import NETWORK_FILE
from safety.model_signatures import open_model
from safety.trust_root import TrustRoot
from sandbox.twin import Twin

log = logging.getLogger(__name__)


def site_policy(pack: SitePack, twin: Twin, root: TrustRoot) -> ControlPolicy | None:
    """The pack's policy, checked; None where the pack names none.

    Raises:
        PolicyRefusedError: what does not hold (`PolicyTrouble`).
        SitePackError: the folder leads out of the pack.
        UnavailableError: without onnxruntime.
    """
    if pack.site.learned_policy is None:
        return None

    def trust(envelope: Mapping[str, Any], network_digest: str) -> Opened:
        statement = open_model(envelope, root, NETWORK_FILE, network_digest)
        return Opened(statement.predicate, statement.persons)

    return load_policy(pack.file(pack.site.learned_policy), ObservationSpace(twin), trust)


def policy_or_reason(
    pack: SitePack, twin: Twin, root: TrustRoot
) -> tuple[ControlPolicy | None, str]:
    """The policy, or why there is none; a policy that is refused must not stop a decision."""
    try:
        return site_policy(pack, twin, root), ""
    except (PilothouseError, SitePackError) as error:
        log.warning("the learned policy is left out: %s", error)
        return None, str(error)
