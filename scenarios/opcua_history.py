"""OPC UA HistoryRead answered from the plant's own log: no subscription, no second store."""

from datetime import UTC, datetime
from typing import Any

from scenarios.leased_plant import LeasedPlant

MAX_VALUES = 50_000  # a month of minutes in one answer; a longer one continues


class LogHistory:
    """asyncua's history storage interface (`HistoryStorageInterface`) over a plant's own log."""

    def __init__(self, plant: LeasedPlant) -> None:
        self._plant = plant
        self.max_history_data_response_size = MAX_VALUES

    async def init(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""

    async def read_node_history(
        self, node_id: Any, start: datetime | None, end: datetime | None, nb_values: int
    ) -> tuple[list[Any], datetime | None]:
        """Values with start <= time <= end, newest first where the start is open or the later one.

        Returns the values and the time of the first one left out, or None.
        """
        from asyncua import ua

        low, high = _bound(start), _bound(end)
        backwards = low is None or (high is not None and low > high)
        if low is not None and high is not None and low > high:
            low, high = high, low
        try:
            rows = self._plant.log.history(str(node_id.Identifier), low, high)
        except KeyError:
            return [], None
        if backwards:
            rows.reverse()
        limit = min(nb_values or MAX_VALUES, MAX_VALUES)
        left_out = rows[limit][0] if len(rows) > limit and not nb_values else None
        return [_data_value(ua, when, value) for when, value in rows[:limit]], left_out

    async def read_event_history(
        self, source_id: Any, start: Any, end: Any, nb_values: int, evfilter: Any
    ) -> tuple[list[Any], None]:
        """The plant keeps no events."""
        del source_id, start, end, nb_values, evfilter
        return [], None

    async def new_historized_node(self, node_id: Any, period: Any, count: int = 0) -> None:
        """The log already holds every signal."""
        del node_id, period, count

    async def save_node_value(self, node_id: Any, datavalue: Any) -> None:
        """The log already holds every value."""
        del node_id, datavalue

    async def new_historized_event(
        self, source_id: Any, evtypes: Any, period: Any, count: int = 0
    ) -> None:
        """The plant keeps no events."""
        del source_id, evtypes, period, count

    async def save_event(self, event: Any) -> None:
        """The plant keeps no events."""
        del event


def _bound(when: datetime | None) -> datetime | None:
    """None where the client left the bound open (it then sends the epoch of 1601)."""
    if when is None or when.year <= 1601:
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _data_value(ua: Any, when: datetime, value: float | None) -> Any:
    good = value is not None
    return ua.DataValue(
        ua.Variant(value, ua.VariantType.Double) if good else ua.Variant(None),
        ua.StatusCode(ua.StatusCodes.Good if good else ua.StatusCodes.BadNoData),
        when,
    )
