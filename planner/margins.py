"""How far inside its bounds a plan stays, so that the closed loop meets them in spite of errors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from graph.evaluation import BandTrace
from graph.record import Record
from graph.site import Site


class MarginProfile(Record):
    """Margins of one signal by step, in its unit; beyond their end the widest of them holds."""

    signal: str
    low: tuple[float, ...] = Field(min_length=1, description="inside lower bounds")
    high: tuple[float, ...] = Field(min_length=1, description="inside upper bounds")


class Margins(Record):
    """Tightening of planned bounds, hard and soft ones. The margin itself is soft.

    A plan that cannot keep its margin gives the margin up, at a price, and never the bound behind
    it. Typical sizes come from the sandbox: the spread of each signal over the sampled futures.
    """

    comfort_k: float = Field(0.0, ge=0, description="K inside each bound on a zone temperature")
    tank_k: float = Field(0.0, ge=0, description="K inside each bound on a tank's temperature")
    soc_pct: float = Field(0.0, ge=0, description="% inside each bound on a state of charge")
    import_kw: float = Field(0.0, ge=0, description="kW inside each bound on grid power")
    profiles: tuple[MarginProfile, ...] = Field(
        (), description="wider where the futures are: see `planner.chance`"
    )

    def of(self, signal: str, unit: str, asset_kind: str) -> float:
        """The margin of a signal in its own unit; 0 where none is declared."""
        if asset_kind == "zone" and unit == "degC":
            return self.comfort_k
        if asset_kind == "buffer_tank" and unit == "degC":
            return self.tank_k
        if asset_kind == "battery" and signal.endswith(".soc_pct"):
            return self.soc_pct
        if asset_kind == "grid_connection":
            return self.import_kw
        return 0.0

    def along(
        self, signal: str, unit: str, asset_kind: str, sense: int, steps: int
    ) -> float | NDArray[np.float64]:
        """The margin inside a lower (+1) or upper (-1) bound: `of`, or (steps,) with a profile."""
        least = self.of(signal, unit, asset_kind)
        profile = next((p for p in self.profiles if p.signal == signal), None)
        if profile is None:
            return least
        values = np.array((profile.low if sense > 0 else profile.high)[:steps])
        more = np.full(steps - len(values), values.max())
        return np.asarray(np.maximum(least, np.concatenate([values, more])))


def margins_of_spread(
    site: Site, traces: Sequence[BandTrace], steps: int, least: Margins
) -> Margins:
    """Margins as wide as the sandbox's own futures spread within their first `steps`.

    Half the 90 % band is what 5 % of the futures exceed on either side; nothing gets narrower than
    in `least`.
    """
    kinds = {a.id: a.kind for a in site.assets}
    found = least.model_dump(exclude={"profiles"})
    for trace in traces:
        below = zip(trace.q50[:steps], trace.q05[:steps], strict=True)
        above = zip(trace.q95[:steps], trace.q50[:steps], strict=True)
        reach = max(high - low for high, low in (*below, *above))
        name = _margin_of(trace.signal, kinds[trace.signal.split(".", 1)[0]])
        if name is not None:
            found[name] = max(found[name], round(reach, 3))
    return Margins(**found)


def _margin_of(signal: str, asset_kind: str) -> str | None:
    """The margin that a signal's spread belongs to."""
    quantity = signal.split(".", 1)[1]
    return {
        ("zone", "temp_degc"): "comfort_k", ("buffer_tank", "temp_degc"): "tank_k",
        ("battery", "soc_pct"): "soc_pct", ("grid_connection", "power_kw"): "import_kw",
    }.get((asset_kind, quantity))  # fmt: skip
