"""A learned policy at run time: what must hold before its network is asked, and on every question.

What must hold for `load_policy`, in this order; the first that does not is the result:
1. Network, manifest and envelope are there and no larger than allowed.
2. Engineers have signed the manifest (`trust` opens the envelope), about this network's bytes.
3. The signed manifest is one, and the file beside it says the same.
4. It was made for this site: name, kind of twin, step, points with their ranges, columns.
5. The network is a plain one with these widths (`sandbox.surrogates.onnx_check`).

And for every question (`ControlPolicy.act`): the observation is finite and inside the range of what
was learned from (`Guard`), and the answer is finite.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.canonical import digest_bytes, strict_loads
from graph.errors import InputError, IntegrityError, RefusedError
from planner.rl.actions import action_space
from planner.rl.observation import ObservationSpace
from planner.rl.onnx_actor_export import INPUT, OUTPUT
from planner.rl.policy_manifest import (
    ENVELOPE_FILE,
    MANIFEST_FILE,
    MOST_BYTES,
    NETWORK_FILE,
    PolicyManifest,
    manifest_of,
)
from sandbox.surrogates.onnx_check import check_network
from sandbox.surrogates.onnx_runtime import padded, session_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Opened:
    """A signed manifest as a document, and who signed it."""

    document: Mapping[str, Any]
    persons: tuple[str, ...]


# Opens an envelope about a network of this digest; raises IntegrityError where it is not believed.
Trust = Callable[[Mapping[str, Any], str], Opened]


class PolicyTrouble(StrEnum):
    """Why a learned policy gives no plan."""

    MISSING = "policy_missing"
    UNSIGNED = "policy_unsigned"
    BAD_MANIFEST = "policy_bad_manifest"
    OTHER_SITE = "policy_of_another_site"
    WRONG_SHAPE = "policy_wrong_shape"
    BAD_NETWORK = "policy_bad_network"
    NOT_FINITE = "policy_not_finite"
    OUTSIDE_RANGE = "policy_outside_its_range"


class PolicyRefusedError(RefusedError):
    """A policy that is not asked, or whose answer is not used; `reason` is a `PolicyTrouble`."""


@dataclass(frozen=True)
class ControlPolicy:
    """A checked policy: its record, who signed it, and its network."""

    manifest: PolicyManifest
    session: Any
    persons: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """What its plans are called."""
        return f"policy:{self.manifest.digest.removeprefix('sha256:')[:12]}"

    def act(self, observed: Array) -> Array:
        """Actions (F, U) in [-1, 1] of observations (F, D).

        Raises PolicyRefusedError: not finite, outside the valid range, or an answer that is not
        finite.
        """
        if not np.isfinite(observed).all():
            raise _refused(PolicyTrouble.NOT_FINITE, "an observation is not finite")
        self._check_range(observed)
        rows = np.zeros((padded(len(observed)), observed.shape[1]), dtype=np.float32)
        rows[: len(observed)] = observed
        (answer,) = self.session.run([OUTPUT], {INPUT: rows})
        answer = answer[: len(observed)].astype(np.float64)
        if not np.isfinite(answer).all():
            raise _refused(PolicyTrouble.NOT_FINITE, "the network's answer is not finite")
        return np.asarray(np.clip(answer, -1.0, 1.0))

    def _check_range(self, observed: Array) -> None:
        guard = self.manifest.guard
        low, high = np.array(guard.low), np.array(guard.high)
        beyond = np.maximum(low - observed, observed - high)
        worst = int(beyond.max(axis=0).argmax())
        if beyond[:, worst].max() > 0.0:
            value = float(observed[int(beyond[:, worst].argmax()), worst])
            raise _refused(
                PolicyTrouble.OUTSIDE_RANGE,
                f"{self.manifest.columns[worst]} is {value:.4g}, learned from "
                f"[{low[worst]:.4g}, {high[worst]:.4g}]",
            )
        none = np.empty((len(observed), 1, 0))
        if not guard.near(observed[:, None, :], none).all():
            raise _refused(
                PolicyTrouble.OUTSIDE_RANGE,
                "this combination of states, prices and forecasts is far from what was learned",
            )


def load_policy(folder: Path, space: ObservationSpace, trust: Trust) -> ControlPolicy:
    """The policy in `folder`, checked as the module's text says.

    Raises PolicyRefusedError with the first thing that does not hold, UnavailableError without
    onnxruntime.
    """
    network = _read(folder / NETWORK_FILE)  # 1
    beside, envelope = _read(folder / MANIFEST_FILE), _read(folder / ENVELOPE_FILE)
    digest = digest_bytes(network)
    try:  # 2
        signed = trust(strict_loads(envelope, MOST_BYTES), digest)
    except (IntegrityError, InputError, RefusedError) as error:
        raise _refused(PolicyTrouble.UNSIGNED, error.message) from error
    try:  # 3
        manifest = manifest_of(dict(signed.document))
        same = manifest == manifest_of(strict_loads(beside, MOST_BYTES))
    except (IntegrityError, InputError) as error:
        raise _refused(PolicyTrouble.BAD_MANIFEST, error.message) from error
    if not same or manifest.network_digest != digest:
        raise _refused(PolicyTrouble.BAD_MANIFEST, "the manifest beside it is not the signed one")
    check_fits(manifest, space)  # 4
    widths = {INPUT: len(manifest.columns)}, {OUTPUT: len(manifest.points)}
    try:  # 5
        check_network(network, *widths)
    except IntegrityError as error:
        raise _refused(PolicyTrouble.BAD_NETWORK, error.message) from error
    return ControlPolicy(manifest, session_of(network), signed.persons)


def check_fits(manifest: PolicyManifest, space: ObservationSpace) -> None:
    """The manifest against the site. Raises PolicyRefusedError."""
    site, actions = space.site, action_space(space)
    if (manifest.site, manifest.twin_kind, manifest.step_s) != (
        site.id, site.twin.kind, site.step_s
    ):  # fmt: skip
        raise _refused(
            PolicyTrouble.OTHER_SITE,
            f"made for {manifest.site} ({manifest.twin_kind}, {manifest.step_s} s), this is "
            f"{site.id} ({site.twin.kind}, {site.step_s} s)",
        )
    if manifest.columns != space.names or manifest.points != actions.points:
        raise _refused(
            PolicyTrouble.WRONG_SHAPE,
            f"{len(manifest.columns)} columns and points {', '.join(manifest.points)}; the site "
            f"has {len(space.names)} and {', '.join(actions.points)}",
        )
    size = len(manifest.columns)
    edges = (len(manifest.guard.low), len(manifest.guard.high))
    if edges != (size, size) or max(manifest.guard.active, default=0) >= size:
        raise _refused(PolicyTrouble.WRONG_SHAPE, "the valid range has other columns")
    ranges = tuple(actions.low.tolist()), tuple(actions.high.tolist())
    if (manifest.low, manifest.high) != ranges:
        raise _refused(PolicyTrouble.WRONG_SHAPE, "the points' ranges were others in training")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise _refused(PolicyTrouble.MISSING, f"{path.name}: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise _refused(PolicyTrouble.BAD_NETWORK, f"{path.name} is larger than {MOST_BYTES} bytes")
    return data


def _refused(trouble: PolicyTrouble, message: str) -> PolicyRefusedError:
    return PolicyRefusedError(trouble.value, message, "train or sign the policy again")
