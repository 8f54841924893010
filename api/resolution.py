"""Scoring a prediction after the fact: the bands that were committed, against what came."""

from datetime import datetime, timedelta

import numpy as np

from agents.proposal_builder import outcome_of
from graph.proposal import ControlProposal
from graph.record import Record, UtcTime
from graph.site import Site
from graph.telemetry import Frame


class SignalScore(Record):
    """How one signal's 90 % band did. `worst` is the greatest distance outside it."""

    unit: str
    samples: int
    inside: int
    worst: float


class PredictionResolution(Record):
    """The predicate `prediction-resolution/v1`: over the time in which the plan was in force."""

    proposal_digest: str
    start: UtcTime
    end: UtcTime
    ended_because: str
    signals: dict[str, SignalScore]


def score(
    site: Site, proposal: ControlProposal, digest: str, frame: Frame, until: datetime, reason: str
) -> PredictionResolution | None:
    """Compare the bands with the telemetry of the plan's own time; None without a whole step.

    What was commanded is not a prediction, so signals that follow a setpoint are left out.
    """
    commanded = {s.follows for s in site.setpoints}
    shadow = proposal.sandbox_results.shadow
    traces = outcome_of(shadow, shadow.candidate).traces
    rows = frame.window(proposal.not_before, until)
    count = min(len(rows), shadow.horizon_steps)
    first = proposal.not_before + timedelta(seconds=shadow.step_s)
    if count == 0 or rows.start != first:
        return None
    signals = {}
    for trace in traces:
        if trace.signal in commanded:
            continue
        came = rows.column(trace.signal)[:count]
        low, high = np.array(trace.q05[:count]), np.array(trace.q95[:count])
        known = np.isfinite(came)
        outside = np.maximum(np.maximum(low - came, came - high), 0.0)[known]
        signals[trace.signal] = SignalScore(
            unit=trace.unit,
            samples=int(known.sum()),
            inside=int((outside <= 0.0).sum()),
            worst=round(float(outside.max(initial=0.0)), 6),
        )
    return PredictionResolution(
        proposal_digest=digest,
        start=proposal.not_before,
        end=until,
        ended_because=reason,
        signals=signals,
    )
