"""An order: what the gate takes from a verified proposal, and nothing else of it."""

from typing import Literal

from pydantic import Field

from graph.proposal import (
    ControlProposal,
    PointSchedule,
    Rollout,
    StandingAuthorisation,
    VoidGuard,
)
from graph.record import Record, UtcTime

RISK_ORDER = {"low": 0, "medium": 1, "high": 2}


class Order(Record):
    """A schedule with its rollout, window and guards. Built only from a verified bundle."""

    proposal_digest: str
    seq: int = Field(ge=0)
    nonce: str
    not_before: UtcTime
    expires: UtcTime
    schedule: tuple[PointSchedule, ...]
    rollout: Rollout
    void_if: tuple[VoidGuard, ...] = ()
    revert_to: str = "local"
    risk: Literal["low", "medium", "high"] = "low"
    under: str | None = Field(
        None, description="digest of the proposal whose standing approval covers this order"
    )
    standing: StandingAuthorisation | None = Field(
        None, description="the standing authorisation in the approvals that came with the order"
    )
    lab: bool = Field(False, description="approved by a demonstration key")

    @property
    def points(self) -> tuple[str, ...]:
        """Every point that the order may write."""
        return tuple(s.point for s in self.schedule)

    def of_point(self, point: str) -> PointSchedule:
        """The schedule of `point`. Raises KeyError."""
        for item in self.schedule:
            if item.point == point:
                return item
        raise KeyError(point)


def order_from_proposal(
    proposal: ControlProposal,
    digest: str,
    *,
    standing: StandingAuthorisation | None = None,
    lab: bool = False,
) -> Order:
    """The order that `proposal` (whose bytes have `digest`) asks for.

    `standing` and `lab` come from the approvals that were verified with it.
    """
    return Order(
        proposal_digest=digest,
        seq=proposal.seq,
        nonce=proposal.nonce,
        not_before=proposal.not_before,
        expires=proposal.expires,
        schedule=proposal.proposed_policy.schedule,
        rollout=proposal.rollout,
        void_if=proposal.void_if,
        revert_to=proposal.rollback.revert_to,
        risk=proposal.risk.level,
        under=proposal.under,
        standing=standing,
        lab=lab,
    )
