"""Small valid documents for tests: keys and trust root, a site, a proposal, a signed bundle.

    keys = make_keys()                                  # deterministic laboratory-free keys
    proposal = make_proposal(seq=7)                     # any field of ControlProposal by name
    built = build_bundle(tmp_path, proposal, approve_as=[(keys.ann, "approver")])
    verify_bundle(built.data, built.root, NOW, require_approval=True).require()

The toy plant is a battery behind a grid connection; its one setpoint is battery.power_set_kw.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from graph.canonical import digest
from graph.evaluation import CanaryResult, Estimate, Outcome, ShadowResult
from graph.intent import Intent, Objective
from graph.proposal import (
    Approval,
    Causal,
    ControlProposal,
    Counterfactuals,
    Guardrail,
    PointSchedule,
    PolicyResult,
    ProposedPolicy,
    Provenance,
    RequiredApprovals,
    Risk,
    Rollback,
    Rollout,
    SandboxResults,
    Stage,
    StandingAuthorisation,
    TwinEvidence,
    Verdict,
)
from graph.record import iso
from graph.signals import Owner, PointState, Reading
from graph.site import Site
from graph.snapshot import Forecast, History, PriceSeries, Snapshot, StateEstimate
from safety.bundle import Attachments, Bundle, bundle_bytes, make_bundle
from safety.keys import Signer, signer_from_secret
from safety.ledger import Ledger
from safety.signing import proposal_digest, sign_approval, sign_proposal
from safety.trust_root import TrustRoot, make_root

START = datetime(2026, 1, 20, 8, 0, tzinfo=UTC)
NOW = START + timedelta(minutes=5)
ORIGIN = "pilothouse.example/toy"
POINT = "battery.power_set_kw"
POLICIES = {"core.rego": "package pilothouse\n"}
TWIN: dict[str, Any] = {"names": ["battery.efficiency"], "values": [0.95]}


@dataclass(frozen=True)
class Keys:
    """One signer a role; `lab_ann` is a laboratory key with Ann's role."""

    service: Signer
    gate: Signer
    ledger: Signer
    ann: Signer
    bob: Signer
    eve: Signer
    lab_ann: Signer

    def root(self, expires: datetime = START + timedelta(days=365)) -> TrustRoot:
        """Ann, Bob and the laboratory's Ann approve, Bob and Eve are engineers."""
        return make_root(
            {
                "service": [self.service],
                "gate": [self.gate],
                "ledger": [self.ledger],
                "approver": [self.ann, self.bob, self.lab_ann],
                "engineer": [self.bob, self.eve],
            },
            expires,
        )


@cache
def make_keys() -> Keys:
    """The same keys in every test."""
    names = ("service", "gate", "ledger", "Ann Approver", "Bob Both", "Eve Engineer")
    signers = [signer_from_secret(bytes([n]) * 32, p, lab=False) for n, p in enumerate(names, 1)]
    return Keys(*signers, signer_from_secret(b"L" * 32, "Lab Ann", lab=True))


@cache
def make_site() -> Site:
    """A battery behind a grid connection."""
    period = {"name": "all day", "price": 0.3}
    return Site.model_validate(
        {
            "schema_version": "pilothouse/site/v1",
            "id": "toy",
            "name": "Toy",
            "time_zone": "UTC",
            "currency": "EUR",
            "assets": [
                {
                    "id": "grid",
                    "kind": "grid_connection",
                    "import_limit_kw": 60,
                    "export_limit_kw": 40,
                },
                {
                    "id": "battery",
                    "kind": "battery",
                    "capacity_kwh": 80,
                    "max_charge_kw": 30,
                    "max_discharge_kw": 30,
                    "round_trip_efficiency": 0.9,
                    "soc_min_pct": 10,
                    "soc_max_pct": 95,
                },
            ],
            "signals": [
                {"id": "grid.power_kw", "unit": "kW", "minimum": -100, "maximum": 100},
                {"id": "battery.soc_pct", "unit": "%", "minimum": 0, "maximum": 100},
                {"id": "battery.power_kw", "unit": "kW", "minimum": -40, "maximum": 40},
                {"id": POINT, "unit": "kW", "role": "setpoint", "minimum": -30, "maximum": 30},
            ],
            "tariff": {
                "source": "invented",
                "import_periods": [period],
                "export_periods": [period],
            },
            "baseline": {
                "zone_setpoint_degc": [{"at": "00:00", "value": 21}],
                "tank_on_below_degc": 40,
                "tank_off_above_degc": 48,
                "heat_pump_power_kw": 9,
            },
            "autonomy": {
                "risk_rules": [
                    {"level": "low", "max_probability": 1, "roles": ["approver"], "min_persons": 1}
                ]
            },
        }
    )


def site_document() -> dict[str, Any]:
    """The site as a bundle carries it."""
    return make_site().model_dump(mode="json")


def make_snapshot(**changes: Any) -> Snapshot:
    """Two steps of a quiet battery."""
    fields: dict[str, Any] = {
        "site_id": "toy",
        "site_digest": digest(site_document()),
        "twin_digest": digest(TWIN),
        "as_of": START,
        "step_s": 900,
        "horizon_steps": 2,
        "readings": {"battery.soc_pct": Reading(value=50.5, time=START)},
        "points": {POINT: PointState(applied=0.0, owner=Owner.LOCAL)},
        "prices": PriceSeries(
            import_price=(0.3, 0.3), export_price=(0.1, 0.1), carbon_g_per_kwh=(300, 310.5)
        ),
        "forecasts": (
            Forecast(
                signal="grid.power_kw",
                unit="kW",
                method="persistence",
                values=(3.25, 1e-07),
                error_paths=((0.1,), (-0.1,)),
            ),
        ),
        "estimate": StateEstimate(names=("battery.soc_pct",), mean=(50.5,), covariance=((1e-05,),)),
        "history": History(start=START, step_s=900, signals={"battery.soc_pct": (50.0, None)}),
    }
    return Snapshot(**{**fields, **changes})


def _sandbox() -> SandboxResults:
    outcome = Outcome(source="milp-dispatch", kpis={}, violations=(), cvar_cost=2.0)
    shadow = ShadowResult(
        futures=10, seed=1, horizon_steps=2, step_s=900, outcomes=(outcome,), kpi_delta={},
        candidate="milp-dispatch", passed=True, reasons=(),
    )  # fmt: skip
    canary = CanaryResult(
        points=(POINT,), duration_s=900, cycles=15, writes=2, metrics=(), rollback_exercised=True,
        rollback_restored=True, rollback_seconds=60, rollback_digest=digest(["release", POINT]),
        passed=True, reasons=(),
    )  # fmt: skip
    return SandboxResults(shadow=shadow, canary=canary, kpi_delta={"cost": -0.5})


def make_proposal(**changes: Any) -> ControlProposal:
    """Charge the battery for half an hour. `changes` replaces fields by name."""
    end = START + timedelta(seconds=1800)
    text = "minimise cost"
    fields: dict[str, Any] = {
        "id": "p1", "seq": 1, "nonce": "00", "not_before": START, "expires": end,
        "decide_by": START + timedelta(seconds=900), "actor": "operator", "target": "toy",
        "intent": text,
        "compiled_intent": Intent(
            text=text, objectives=(Objective(quantity="cost"),), start=START, end=end
        ),
        "restatement": "Minimise cost.",
        "twin": TwinEvidence(
            id="toy", snapshot_digest=make_snapshot().digest, site_digest=digest(site_document()),
            twin_digest=digest(TWIN), as_of=START, fidelity_gaps=(),
        ),
        "baseline_digest": digest("baseline"),
        "proposed_policy": ProposedPolicy(
            schedule=(
                PointSchedule(
                    point=POINT, unit="kW", t=(0, 900), value=(5, 2.5), from_value=0, min=-10,
                    max=10, ramp_per_s=1, ttl_s=1800,
                ),
            ),
            valid_for="PT30M",
        ),
        "technical_basis": "cheap now", "confidence": 0.9,
        "causal": Causal(because=(), effects=(), assumptions=(), refutations=()),
        "counterfactuals": Counterfactuals(
            inaction={"cost": Estimate(mean=3, low=2, high=4, unit="EUR")}, runner_up=None, flip=()
        ),
        "alternatives": (),
        "risk": Risk(level="low", prob_violate={}, prob_sla_breach=0, cvar=2, knowledge_limits=()),
        "sandbox_results": _sandbox(),
        "policy": PolicyResult(
            bundle_digest=digest(POLICIES), decision_id="d1", engine="rego",
            verdicts=(Verdict(rule="core/range", verdict="pass", hard=True, reason=""),),
            allowed=True,
        ),
        "rollout": Rollout(
            stages=(Stage(name="canary", points=(POINT,), duration_s=900),),
            guardrails=(
                Guardrail(
                    name="soc", kind="range", signal="battery.soc_pct", minimum=10, maximum=95,
                    for_s=60,
                ),
            ),
        ),
        "rollback": Rollback(
            revert_to="local law", trigger=("guardrail",), steps=(f"release {POINT}",), ttl="PT30M",
            tested_digest=digest(["release", POINT]),
        ),
        "void_if": (),
        "provenance": Provenance(models=(), code="0", sbom=(), seeds={"shadow": 1}, fingerprint={}),
        "required_approvals": RequiredApprovals(roles=("approver",), min_persons=1),
    }  # fmt: skip
    return ControlProposal(**{**fields, **changes})


def make_approval(signer: Signer, role: str, proposal_digest: str, **changes: Any) -> Approval:
    """A yes by `signer`'s person, two minutes after the start."""
    fields: dict[str, Any] = {
        "proposal_digest": proposal_digest,
        "decision": "approve",
        "person": signer.person,
        "role": role,
        "reason": "fine",
        "at": START + timedelta(minutes=2),
        "not_after": START + timedelta(hours=1),
        "lab": signer.lab,
    }
    return Approval(**{**fields, **changes})


def make_standing(**changes: Any) -> StandingAuthorisation:
    """Leave to move the toy battery within 10 kW for a day at low risk."""
    fields: dict[str, Any] = {
        "points": {POINT: (-10, 10)},
        "until": START + timedelta(days=1),
        "max_risk": "low",
        "max_bundles": 96,
    }
    return StandingAuthorisation(**{**fields, **changes})


def make_attachments(**changes: Any) -> Attachments:
    """The evidence that `make_proposal` signs."""
    fields: dict[str, Any] = {
        "snapshot": make_snapshot().model_dump(mode="json"),
        "site": site_document(),
        "policies": POLICIES,
        "twin": TWIN,
    }
    return Attachments(**{**fields, **changes})


def sign_raw(payload: bytes, signer: Signer) -> dict[str, Any]:
    """An envelope over any bytes, by the book of DSSE, without the code under test."""
    kind = "application/vnd.in-toto+json"
    pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [{"keyid": signer.keyid, "sig": base64.b64encode(signer.sign(pae)).decode()}],
    }


@dataclass(frozen=True)
class BuiltBundle:
    """A bundle's bytes with what a test needs around them."""

    data: bytes
    bundle: Bundle
    proposal: ControlProposal
    digest: str
    root: TrustRoot
    keys: Keys


def build_bundle(
    folder: Path,
    proposal: ControlProposal | None = None,
    *,
    approve_as: Sequence[tuple[Signer, str]] = (),
    attachments: Attachments | None = None,
    signer: Signer | None = None,
    **approval_changes: Any,
) -> BuiltBundle:
    """Sign a proposal and approvals, append them to a new ledger in `folder`, bundle them.

    Under a standing approval the approvals are made over `proposal.under` and appended first.
    """
    keys = make_keys()
    proposal = proposal or make_proposal()
    own_digest = proposal_digest(proposal)
    envelope = sign_proposal(proposal, signer or keys.service)
    approvals = [
        sign_approval(
            make_approval(
                person, role, **{"proposal_digest": proposal.under or own_digest} | approval_changes
            ),
            person,
        )
        for person, role in approve_as
    ]
    rows = [("proposal", envelope), *(("approval", a) for a in approvals)]
    if proposal.under is not None:
        rows = [*rows[1:], rows[0]]
    name = f"ledger-{len(list(folder.glob('ledger-*.db')))}.db"
    with Ledger(folder / name, ORIGIN, keys.ledger) as ledger:
        ledger.append("note", {"text": f"opened {iso(START)}"})
        ledger.append_all(rows)
        bundle = make_bundle(ledger, envelope, approvals, attachments or make_attachments())
    return BuiltBundle(bundle_bytes(bundle), bundle, proposal, own_digest, keys.root(), keys)
