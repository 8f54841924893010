"""The residual monitor on a twin and its telemetry: what was judged, what is known at the end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from graph.errors import InputError
from graph.record import iso
from graph.telemetry import Frame
from sandbox.building.rows import DAY_H
from sandbox.building.twin import BuildingTwin
from sandbox.building_signatures import BALANCE_STD_KW, BuildingSigns
from sandbox.model_errors import from_report
from sandbox.residual_monitor import EVERY_H, Confirmed, Judgement, confirmed, shares, watch
from sandbox.residual_noise import LEAST_DAYS, reference_noise
from sandbox.twin import Twin

MOST_DAYS = 63  # of telemetry at once; a judgement costs some 70 ms
LEAST_WATCHED_DAYS = 3.0
FIRST_H = 72  # two days for hidden masses to settle, one to judge


@dataclass(frozen=True)
class Watched:
    """What a stretch of telemetry says of a twin.

    begins: begin of each hour, in the site's zone.
    """

    twin: BuildingTwin
    begins: tuple[datetime, ...]
    judgements: tuple[Judgement, ...]

    @property
    def confirmed(self) -> tuple[Confirmed, ...]:
        """Every cause that was ever confirmed, in order."""
        return confirmed(self.judgements)

    @property
    def present(self) -> tuple[Confirmed, ...]:
        """Causes that are there at the end."""
        return self.judgements[-1].known if self.judgements else ()

    @property
    def alarms(self) -> int:
        """Judgements at which the test alarmed."""
        return sum(j.alarm for j in self.judgements)

    def began(self, one: Confirmed) -> datetime | None:
        """When a cause began by the best fit; None for longer ago than the monitor looks back."""
        return None if one.since is None else self.begins[one.since]

    def named(self, one: Confirmed) -> datetime:
        """When it was certain enough to say."""
        return self.begins[one.named_at - 1] + timedelta(hours=1)

    def document(self) -> dict[str, Any]:
        """All of it as one JSON document; times in UTC."""
        last = self.judgements[-1]
        return {
            "twin": self.twin.digest,
            "from": iso(self.begins[0]),
            "to": iso(self.begins[-1] + timedelta(hours=1)),
            "judgements": len(self.judgements),
            "alarms": self.alarms,
            "confirmed": [self._confirmed(one) for one in self.confirmed],
            "now": {
                "alarm": last.alarm,
                "statistic": last.ratio,
                "kinds": last.kinds,
                "causes": dict(shares(last)),
            },
        }

    def _confirmed(self, one: Confirmed) -> Mapping[str, Any]:
        began = self.began(one)
        return {
            "cause": one.cause.name,
            "kind": one.cause.kind,
            "subject": one.cause.subject,
            "text": one.cause.text,
            "size": size_of(one),
            "unit": one.cause.unit,
            "since": None if began is None else iso(began),
            "named": iso(self.named(one)),
            "present": one in self.present,
        }


def size_of(one: Confirmed) -> float | None:
    """A cause's single size; None where it has several or where nobody saw it begin.

    Once the walls have followed, a sensor's offset shows only in what they lose, which tells its
    size badly.
    """
    unseen = one.since is None and one.cause.kind == "sensor_fault"
    return None if unseen or len(one.sizes) != 1 else one.sizes[0]


def watch_twin(
    twin: Twin, frame: Frame, *, first_h: int = FIRST_H, every_h: int = EVERY_H
) -> Watched:
    """Judge telemetry on the site's step as it would have come in.

    first_h, every_h: the hour of the first judgement and hours between two.

    Raises:
        InputError: not a building's twin, a twin that was never fitted, zone heat that nobody
            meters, a column that is missing, telemetry too short or too long.
    """
    building = _building(twin)
    days = len(frame) * frame.step_s / 86_400
    if not LEAST_WATCHED_DAYS < days <= MOST_DAYS:
        raise InputError(
            f"{days:.1f} days of telemetry to watch",
            f"the monitor takes more than {LEAST_WATCHED_DAYS:g} and up to {MOST_DAYS} days",
        )
    signs = BuildingSigns(building, frame)
    extra = [(signs.grid, BALANCE_STD_KW)]
    noise = reference_noise(from_report(building.parameters.report), extra)
    if noise is None:
        raise InputError(
            f"the twin's file holds errors of fewer than {LEAST_DAYS} days: nothing says what is "
            "usual",
            "fit the twin with `pilothouse site fit`",
        )
    judged = watch(signs, noise, max(first_h, DAY_H), every_h)
    if not judged:
        raise InputError("no hour of the telemetry could be judged", "a channel is always missing")
    return Watched(building, signs.begins, tuple(judged))


def _building(twin: Twin) -> BuildingTwin:
    if not isinstance(twin, BuildingTwin):
        raise InputError(
            f"the residual monitor watches twins of buildings, not of kind {twin.parameters.kind}",
            "the diagnostics agent judges the other kinds, with every decision",
        )
    if not twin.layout.heat_metered:
        raise InputError(
            "the residual monitor needs each zone's heat to be metered",
            "declare and record a signal <zone>.heat_kw for every zone",
        )
    return twin
