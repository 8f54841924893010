"""A pack's learned policy: trained, compared, told, signed."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api.training_moments import gather
from graph.canonical import canonical_bytes, strict_loads
from planner.rl.evaluate import Score
from planner.rl.policy_manifest import (
    ENVELOPE_FILE,
    MANIFEST_FILE,
    NETWORK_FILE,
    load_manifest,
)
from planner.rl.train import Stopwatch, TrainOptions, TrainResult, train
from safety.keys import Signer
from sandbox.surrogates.onnx_runtime import read_network

Say = Callable[[str], None]


def train_for_pack(
    folder: Path, out: Path, options: TrainOptions, say: Say, *, days: int, compared: int
) -> tuple[TrainResult, dict[str, Any]]:
    """Train a policy for a pack, files in `out`; the result and its document.

    Raises:
        InputError: too little telemetry, or `out` holds another training.
        UnavailableError: without the extra `train`.
    """
    from planner.rl.sb3_ppo import require_sb3

    require_sb3()
    watch = Stopwatch()
    moments = gather(folder, say, most_days=days, compared=compared)
    watch.lap("reading the record")
    result = train(moments.space, moments.training, moments.days, out, options, say)
    return result, document_of(result, out, watch.seconds | result.seconds, moments.pack.site.id)


def document_of(
    result: TrainResult, out: Path, seconds: dict[str, float], site: str
) -> dict[str, Any]:
    """As JSON."""
    return {
        "site": site, "out": str(out), "network": str(out / NETWORK_FILE),
        "manifest": str(out / MANIFEST_FILE), "digest": result.manifest.digest,
        "met": result.met, "steps": result.steps, "seconds": seconds,
        "wall_s": round(sum(seconds.values()), 1), "cpu_s": round(time.process_time(), 1),
        "load": [round(v, 1) for v in os.getloadavg()],
        "days": len(result.scores[0].days),
        "compared": [row_of(s) for s in result.scores],
    }  # fmt: skip


def row_of(score: Score) -> dict[str, Any]:
    """One controller as JSON."""
    return {
        "name": score.name, "settled_cost": score.settled_cost, "comfort_kh": score.comfort_kh,
        "starts": score.starts, "total": score.total, "days": list(score.days),
        "violations": score.violations, "broken": [list(b) for b in score.broken],
        "corrected_share": score.corrected_share, "correction": score.correction,
    }  # fmt: skip


def text_of(document: dict[str, Any], currency: str) -> str:
    """The table, for a terminal."""
    lines = [
        f"means of {document['days']} days that nothing was learned from",
        f"{'':24}{f'settled {currency}':>13}{'K.h':>8}{'starts':>8}{f'total {currency}':>12}"
        f"{'broken':>8}{'corrected':>11}{'by':>8}",
    ]
    for row in document["compared"]:
        share, size = row["corrected_share"], row["correction"]
        told = f"{'-':>11}{'-':>8}" if share is None else f"{share:11.1%}{size or 0.0:8.1%}"
        lines.append(
            f"{row['name']:24}{row['settled_cost']:13.2f}{row['comfort_kh']:8.2f}"
            f"{row['starts']:8.1f}{row['total']:12.2f}{row['violations']:8d}{told}"
        )
        lines += [f"    {label}: on {n} days, by up to {worst:.3g}"
                  for label, n, worst in row["broken"]]  # fmt: skip
    spent = ", ".join(f"{name} {s:.0f} s" for name, s in document["seconds"].items())
    lines += [
        f"{document['steps']} environment steps; {spent}; {document['wall_s'] / 60.0:.1f} min in "
        f"all ({document['cpu_s'] / 60.0:.1f} of the processor), load {document['load'][0]}",
        "target (better than the baseline and than the cloned start, no hard limit broken): "
        + ("met" if document["met"] else "MISSED"),
        f"wrote {document['network']} and {document['manifest']}",
    ]
    return "\n".join(lines)


def sign_policy(folder: Path, *signers: Signer) -> tuple[Path, int]:
    """Sign the policy in `folder`; returns the envelope's file and how many have signed now.

    Signatures of others about the same manifest stay; those about another one are dropped.

    Raises:
        InputError: no manifest, or the network beside it is another one.
    """
    from safety.model_signatures import about_the_same, sign_model
    from safety.signing import co_sign

    manifest = load_manifest(folder / MANIFEST_FILE)
    read_network(folder / NETWORK_FILE, manifest.network_digest)
    envelope = sign_model(NETWORK_FILE, manifest.network_digest, manifest, *signers)
    path = folder / ENVELOPE_FILE
    if path.exists():
        known = strict_loads(path.read_bytes())
        if about_the_same(known, envelope):
            envelope = known
            for signer in signers:
                envelope = co_sign(envelope, signer)
    path.write_bytes(canonical_bytes(envelope) + b"\n")
    return path, len(envelope["signatures"])
