"""How far inside its bounds a plan stays, so that the closed loop meets them in spite of errors."""

from pydantic import Field

from graph.record import Record


class Margins(Record):
    """Tightening of planned bounds, hard and soft ones. The margin itself is soft.

    A plan that cannot keep its margin gives the margin up, at a price, and never the bound behind
    it. Typical sizes come from the sandbox: the spread of each signal over the sampled futures.
    """

    comfort_k: float = Field(0.0, ge=0, description="K inside each bound on a zone temperature")
    tank_k: float = Field(0.0, ge=0, description="K inside each bound on a tank's temperature")
    soc_pct: float = Field(0.0, ge=0, description="% inside each bound on a state of charge")
    import_kw: float = Field(0.0, ge=0, description="kW inside each bound on grid power")

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
