"""What a shadow run looks at: recorded telemetry, or a simulated plant beside it. Neither of them
can be written here: the reader has no writing method, and no gate is built.
"""

from datetime import datetime
from typing import Protocol

from agents.telemetry_feed import TelemetryFeed
from api.assemble import recorded_before
from graph.errors import InputError
from graph.plant import PlantReader
from graph.record import iso
from graph.sitepack import SitePack
from graph.telemetry import Frame
from scenarios.recorded_plant import RecordedPlant


class ShadowSource(Protocol):
    """A plant that is looked at."""

    @property
    def reader(self) -> PlantReader:
        """Its present image."""
        ...

    def known(self) -> Frame:
        """Telemetry on the site's step; rows after the present may be in it, and are not used."""
        ...

    def advance(self, seconds: float) -> None:
        """Let time pass under the plant's own law."""
        ...

    def close(self) -> None:
        """Let go of the plant."""
        ...


class RecordedSource:
    """Recorded telemetry, read at a moment that moves on."""

    def __init__(self, pack: SitePack, start: datetime, end: datetime) -> None:
        """Raises InputError when the record does not cover start..end."""
        self._frame = pack.telemetry()
        if start <= self._frame.start or end > self._frame.end:
            raise InputError(
                f"cannot run from {iso(start)} to {iso(end)}",
                f"telemetry covers {iso(self._frame.start)} to {iso(self._frame.end)}; forecasts "
                "need days before",
            )
        self._plant = RecordedPlant(pack.site, self._frame, start)

    @property
    def reader(self) -> PlantReader:
        """See `ShadowSource.reader`."""
        return self._plant

    def known(self) -> Frame:
        """See `ShadowSource.known`."""
        return self._frame

    def advance(self, seconds: float) -> None:
        """See `ShadowSource.advance`."""
        self._plant.advance(seconds)

    def close(self) -> None:
        """See `ShadowSource.close`."""


class PlantSource:
    """The pack's simulated plant after its recorded telemetry, left to its own law."""

    def __init__(self, pack: SitePack, start: datetime, seed: int) -> None:
        """Raises InputError or UnavailableError when the plant cannot be stood up."""
        # Only a run beside a plant loads what could command one; one over recordings does not.
        from api.local_gate import DirectReader
        from scenarios.plants import build_plant

        self._plant = build_plant(pack, start, seed)
        self._reader = DirectReader(self._plant)
        self._feed = TelemetryFeed(pack.site, recorded_before(pack, start))

    @property
    def reader(self) -> PlantReader:
        """See `ShadowSource.reader`."""
        return self._reader

    def known(self) -> Frame:
        """See `ShadowSource.known`."""
        self._feed.update(self._reader, self._plant.time)
        return self._feed.frame

    def advance(self, seconds: float) -> None:
        """See `ShadowSource.advance`."""
        self._plant.advance(seconds)

    def close(self) -> None:
        """See `ShadowSource.close`."""
        close = getattr(self._plant, "close", None)
        if close is not None:
            close()
