"""A learned policy on its way into a plan: signed, fitting, in its range, or refused by name."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from agents.inprocess_dispatch import InProcessDispatcher
from agents.learned import NO_MULTIPLIERS
from agents.telemetry_feed import TelemetryFeed
from api.assemble import load_context, make_authority
from api.copilot import Copilot, Plant
from api.offline import RecordedPlant
from api.replay import replay_bundle
from api.site_policy import policy_or_reason, site_policy
from api.training import sign_policy
from api.training_moments import PastMoments
from api.workspace import create_workspace
from graph.canonical import digest_bytes
from graph.errors import InputError
from planner.dispatch_options import SolveOptions
from planner.rl.actions import action_space
from planner.rl.actor import Actor
from planner.rl.episodes import Moment
from planner.rl.observation import ObservationSpace
from planner.rl.onnx_policy import PolicyRefusedError, PolicyTrouble
from planner.rl.policy_manifest import (
    ENVELOPE_FILE,
    MANIFEST_FILE,
    NETWORK_FILE,
    PolicyManifest,
    code_digest,
    load_manifest,
    save_manifest,
)
from safety.bundle import bundle_bytes
from safety.keys import lab_signer
from safety.verify import verify_bundle
from sandbox.surrogates.guard import Guard

pytest.importorskip("onnx")  # it writes the network that everything here reads
ROOT = Path(__file__).parents[1]
AT = datetime(2026, 1, 10, 8, 0, tzinfo=UTC)
WIDE = 1e5
SENTENCE = "minimise energy cost for the next 24 hours, keep the rooms between 20 and 24 °C"


def hand_made(names: tuple[str, ...]) -> Actor:
    """Charges when power is cheap, discharges when it is dear; heats the tank towards 42 degC.

    Two almost linear layers of tanh carry price and tank temperature to the points.
    """
    small = 1e-3
    first = np.zeros((len(names), 2), np.float32)
    first[names.index("import_price"), 0] = small
    first[names.index("tank.temp"), 1] = small
    shift = np.zeros(len(names), np.float32)
    shift[names.index("import_price")] = -0.35
    shift[names.index("tank.temp")] = -42.0
    second = np.array([[-1.5 / small, 0, 0, 0], [0, -0.1 / small, 0, 0]], np.float32)
    layers = (first, np.zeros(2, np.float32)), (second, np.array([0, 0, -0.1, -0.1], np.float32))
    return Actor(shift, np.ones(len(names), np.float32), layers)


def write_policy(folder: Path, space: ObservationSpace, **changes: object) -> PolicyManifest:
    from planner.rl.onnx_actor_export import actor_bytes

    folder.mkdir(parents=True, exist_ok=True)
    actions, size = action_space(space), len(space.names)
    network = actor_bytes(hand_made(space.names))
    guard = Guard(low=(-WIDE,) * size, high=(WIDE,) * size, active=(0,), mean=(21.0,),
                  root=((1e-3,),), limit=1.0)  # fmt: skip
    manifest = PolicyManifest(
        site=space.site.id, twin_kind=space.site.twin.kind, twin_digest=space.twin.digest,
        step_s=space.site.step_s, points=actions.points, low=tuple(actions.low.tolist()),
        high=tuple(actions.high.tolist()), columns=space.names, guard=guard,
        network_digest=digest_bytes(network), algorithm="written by hand", hyperparameters={},
        training={}, seed=0, data_digest=digest_bytes(b""), code_digest=code_digest(),
    ).model_copy(update=changes)  # fmt: skip
    (folder / NETWORK_FILE).write_bytes(network)
    save_manifest(folder / MANIFEST_FILE, manifest)
    return manifest


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The microgrid with a signed policy in it, and a laboratory's workspace."""
    folder = tmp_path_factory.mktemp("policy")
    pack = folder / "microgrid"
    shutil.copytree(ROOT / "scenarios" / "microgrid", pack)
    file = pack / "site.yaml"
    file.write_text(file.read_text() + "\nlearned_policy: models\n")
    workspace = create_workspace(folder / "work", lab=True)
    _, context = load_context(pack)
    write_policy(pack / "models", ObservationSpace(context.twin))
    sign_policy(pack / "models", workspace.signer("lab-approver"))
    return pack, workspace


@pytest.fixture
def copy(place, tmp_path):
    """A copy of the pack to spoil."""
    pack, workspace = place
    shutil.copytree(pack, tmp_path / "microgrid")
    return tmp_path / "microgrid", workspace


def refusal(pack: Path, workspace) -> PolicyTrouble:
    loaded, context = load_context(pack)
    with pytest.raises(PolicyRefusedError) as caught:
        site_policy(loaded, context.twin, workspace.root())
    _, reason = policy_or_reason(loaded, context.twin, workspace.root())
    assert reason.startswith(caught.value.reason)
    return PolicyTrouble(caught.value.reason)


def test_a_signed_policy_that_fits_is_taken_and_says_who_signed_it(place):
    pack, workspace = place
    loaded, context = load_context(pack)
    policy = site_policy(loaded, context.twin, workspace.root())
    assert policy is not None
    assert policy.persons == (workspace.signer("lab-approver").person,)
    actor = hand_made(policy.manifest.columns)
    observed = np.zeros((5, len(policy.manifest.columns)))
    observed[:, policy.manifest.columns.index("tank.temp")] = np.linspace(35, 50, 5)
    np.testing.assert_allclose(policy.act(observed), actor.act(observed), atol=1e-5)


def test_every_flaw_is_a_named_refusal(copy):
    pack, workspace = copy
    models, signer = pack / "models", workspace.signer("lab-approver")
    _, context = load_context(pack)
    space = ObservationSpace(context.twin)
    envelope = (models / ENVELOPE_FILE).read_bytes()

    (models / ENVELOPE_FILE).unlink()
    assert refusal(pack, workspace) is PolicyTrouble.MISSING
    stranger = lab_signer("a stranger")
    sign_policy(models, stranger)
    assert refusal(pack, workspace) is PolicyTrouble.UNSIGNED
    (models / ENVELOPE_FILE).write_bytes(envelope)

    network = (models / NETWORK_FILE).read_bytes()
    (models / NETWORK_FILE).write_bytes(network[:-1] + bytes([network[-1] ^ 1]))
    assert refusal(pack, workspace) is PolicyTrouble.UNSIGNED  # signed for other bytes
    (models / NETWORK_FILE).write_bytes(network)

    manifest = load_manifest(models / MANIFEST_FILE)
    save_manifest(models / MANIFEST_FILE, manifest.model_copy(update={"seed": 7}))
    assert refusal(pack, workspace) is PolicyTrouble.BAD_MANIFEST

    for trouble, changes in (
        (PolicyTrouble.OTHER_SITE, {"site": "elsewhere"}),
        (PolicyTrouble.WRONG_SHAPE, {"columns": manifest.columns[:-1]}),
        (PolicyTrouble.WRONG_SHAPE, {"high": (1.0,) * 4}),
    ):
        write_policy(models, space, **changes)
        sign_policy(models, signer)
        assert refusal(pack, workspace) is trouble

    (models / NETWORK_FILE).write_bytes(b"\x08\x08hostile")
    save_manifest(
        models / MANIFEST_FILE,
        manifest.model_copy(update={"network_digest": digest_bytes(b"\x08\x08hostile")}),
    )
    sign_policy(models, signer)
    assert refusal(pack, workspace) is PolicyTrouble.BAD_NETWORK


def test_outside_its_range_or_not_finite_it_says_nothing(place):
    pack, workspace = place
    loaded, context = load_context(pack)
    policy = site_policy(loaded, context.twin, workspace.root())
    size = len(policy.manifest.columns)
    for value, trouble in ((np.nan, PolicyTrouble.NOT_FINITE), (np.inf, PolicyTrouble.NOT_FINITE),
                           (2 * WIDE, PolicyTrouble.OUTSIDE_RANGE),
                           (9e4, PolicyTrouble.OUTSIDE_RANGE)):  # fmt: skip
        observed = np.zeros((3, size))
        observed[1, 0] = value
        with pytest.raises(PolicyRefusedError) as caught:
            policy.act(observed)
        assert caught.value.reason == trouble


def test_a_policy_outside_its_range_gives_an_unusable_plan_with_the_reason(copy):
    from planner.rl.policy_plan import plan_of_policy

    pack, workspace = copy
    past = PastMoments(pack)
    size = len(past.space.names)
    narrow = Guard(low=(30.0,) * size, high=(WIDE,) * size, active=(0,), mean=(21.0,),
                   root=((1e-3,),), limit=1.0)  # fmt: skip
    write_policy(pack / "models", past.space, guard=narrow)
    sign_policy(pack / "models", workspace.signer("lab-approver"))
    policy = site_policy(past.pack, past.context.twin, workspace.root())
    plan = plan_of_policy(policy, past.context.twin, past.at(AT))
    assert not plan.status.usable
    assert plan.setpoints == {}
    assert plan.notes[0].startswith("policy_outside_its_range")


def test_where_the_planner_has_no_time_the_policy_goes_all_the_way_to_a_signed_proposal(
    place, monkeypatch
):
    """Sandbox, canary, explanation, rules, signature, ledger, verification: nothing is special."""
    monkeypatch.setattr("agents.decision.PLANNING", SolveOptions(abort_after_s=1e-6))
    pack, workspace = place
    loaded, context = load_context(pack)
    frame = loaded.telemetry()
    plant = Plant(loaded, context, RecordedPlant(loaded.site, frame, AT),
                  TelemetryFeed(loaded.site, frame.window(frame.start, AT)))  # fmt: skip
    authority = make_authority(workspace, loaded.site.id)
    copilot = Copilot(plant, authority, InProcessDispatcher(), None)
    decision, snapshot = copilot.decide(SENTENCE, "test", futures=20)
    proposal = decision.proposal
    assert proposal is not None, (decision.outcome, decision.reasons, decision.plans)
    source = proposal.sandbox_results.shadow.candidate
    assert source.startswith("policy:")
    assert "no solve" in proposal.technical_basis
    assert NO_MULTIPLIERS in proposal.causal.assumptions
    assert proposal.causal.effects
    assert proposal.counterfactuals.inaction
    models = {m.model: m for m in proposal.provenance.models}
    mine = models[f"learned policy {source}"]
    assert mine.hash == load_manifest(pack / "models" / MANIFEST_FILE).digest
    assert any(p.source == source and p.status.usable for p in decision.plans)

    signed = copilot.sign(decision, snapshot)
    data = bundle_bytes(copilot.bundle(signed, ()))
    authority.ledger.close()
    report = verify_bundle(data, workspace.root(), now=None, require_approval=False)
    assert report.require().proposal == proposal
    with pytest.raises(InputError, match="does not travel"):
        replay_bundle(data, workspace.root())
    assert np.isfinite([e.mean for e in proposal.sandbox_results.shadow.kpi_delta.values()]).all()


def test_moments_of_a_pack_are_what_was_known_then(place):
    past = PastMoments(place[0])
    moment = Moment(past.space, past.at(AT))
    assert moment.snapshot.as_of == AT
    assert moment.midnight.sum() == 0  # it begins at midnight: the first step is no change of day
    later = past.later(moment.snapshot, AT.replace(hour=20))
    assert later.as_of.hour == 20
    assert Moment(past.space, later).midnight.sum() == 1
