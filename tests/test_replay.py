"""A decision runs again from its bundle and gives the same bytes, or says what differs."""

import json

import pytest

from api.replay import replay_bundle
from api.workspace import Workspace
from graph.canonical import canonical_bytes, strict_loads
from graph.errors import IntegrityError
from safety.bundle import bundle_bytes, make_bundle
from safety.ledger import Ledger
from safety.signing import sign_proposal
from safety.trust_root import load_root
from safety.verify import verify_bundle


@pytest.fixture(scope="module")
def small(laboratory):
    """A bundle of a quick decision, the decision's own bytes, and the workspace that signed it."""
    laboratory.quiet()
    proposal_id, _ = laboratory.propose()
    entry = laboratory.desk.entry(proposal_id)
    return laboratory, entry, laboratory.operations.copilot.bundle_file(entry.signed, ())


def signed_again(laboratory, entry, proposal, folder):
    """A bundle of another predicate over the same evidence, signed by the same service."""
    workspace: Workspace = laboratory.loop.workspace
    envelope = sign_proposal(proposal, workspace.signer("service"))
    with Ledger(folder / "other.sqlite", "pilothouse/microgrid", workspace.signer("ledger")) as own:
        own.append("proposal", envelope)
        return bundle_bytes(make_bundle(own, envelope, (), entry.signed.attachments))


def test_the_demonstrations_decision_replays_to_the_same_bytes(demonstration, run_pilothouse):
    run = run_pilothouse("replay", demonstration.out / "bundle.json", "--json")
    report = json.loads(run.stdout)
    assert run.returncode == 0, report
    assert report["identical"] is True
    assert report["environment"] == []
    assert report["signed_digest"] == demonstration.document["signature"]["proposal_digest"]


def test_a_decision_of_this_process_replays_to_the_same_bytes(small):
    laboratory, entry, data = small
    # The proposal's name, number and nonce come from the bundle, so they do not matter.
    report = replay_bundle(data, laboratory.root)
    assert report.differs == ()
    assert report.identical
    assert report.replayed_digest == entry.signed.digest


def test_a_bundle_of_another_processor_says_so_and_is_compared_all_the_same(small, tmp_path):
    laboratory, entry, _ = small
    provenance = entry.proposal.provenance
    there = {**provenance.fingerprint, "cpu": "riscv64/0123456789abcdef", "numpy": "1.0"}
    proposal = entry.proposal.model_copy(
        update={"provenance": provenance.model_copy(update={"fingerprint": there, "code": "x"})}
    )
    report = replay_bundle(signed_again(laboratory, entry, proposal, tmp_path), laboratory.root)
    told = "\n".join(report.environment)
    assert "cpu: riscv64/0123456789abcdef then" in told
    assert "numpy: 1.0 then" in told
    assert "code is another" in told
    assert report.identical


def test_a_signed_claim_that_the_decision_did_not_make_is_named_by_its_step(small, tmp_path):
    laboratory, entry, _ = small
    proposal = entry.proposal.model_copy(
        update={
            "confidence": 0.123,
            "technical_basis": "trust me",
            "risk": entry.proposal.risk.model_copy(update={"cvar": 0.0}),
        }
    )
    report = replay_bundle(signed_again(laboratory, entry, proposal, tmp_path), laboratory.root)
    assert not report.identical
    assert report.differs == ("plan: technical_basis", "sandbox: confidence", "risk: risk")


def test_what_is_not_authentic_is_not_replayed(small):
    laboratory, _, data = small
    document = strict_loads(data)
    document["attachments"]["snapshot"]["horizon_steps"] += 1
    with pytest.raises(IntegrityError, match="snapshot_digest"):
        replay_bundle(canonical_bytes(document), laboratory.root)


def test_a_corrupt_bundle_ends_the_command_with_1(small, run_pilothouse, tmp_path):
    laboratory, _, data = small
    root = laboratory.loop.workspace.root_file
    assert verify_bundle(data, load_root(root), None, False).ok
    broken = bytearray(data)
    broken[len(data) // 2] ^= 4
    (tmp_path / "bundle.json").write_bytes(broken)
    run = run_pilothouse("replay", tmp_path / "bundle.json", "--root", root, "--json")
    assert run.returncode == 1
    assert json.loads(run.stdout)["error"] == "IntegrityError"
