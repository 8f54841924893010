"""Settings of the planner of equations, each with the reason for its default."""

from typing import Literal

from pydantic import Field

from graph.record import Record
from graph.site import Limit


class NmpcOptions(Record):
    """How a plan is made. Prices are of a programme whose running cost is about one."""

    route: str = Field("", description="of planner.nmpc_routes; empty: the measured default")
    code: Literal["auto", "compiled", "interpreted"] = "auto"
    stages: int = Field(24, ge=2, le=400, description="decisions: fine ones first, then longer")
    reach_steps: int = Field(
        120, ge=1, description="steps of the site that are planned; the last inputs are held beyond"
    )
    margin_std: float = Field(
        2.0, ge=0, description="plans stay inside by so many of the twin's one-step errors"
    )
    branch_std: float = Field(2.0, ge=0, description="the tree's branches, in standard errors")
    branches: int = Field(3, description="1: nominal parameters; 3: and both sides of them")
    least_spread: float = Field(
        0.005, ge=0,
        description="spread of a bounded signal, by its nominal, below which a tree is not worth it"
    )  # fmt: skip
    shared: int = Field(
        1, ge=1, description="robust horizon: stages whose inputs all branches share"
    )
    wish_price: float = Field(100.0, gt=0)
    demand_price: float = Field(3e3, gt=0, description="so that no wish outweighs a demand")
    site_price: float = Field(6e4, gt=0, description="nor any demand the site's own limit")
    track_price: float = Field(100.0, gt=0, description="a tenth off target all along costs one")
    move_price: float = Field(1e-3, ge=0, description="of the input's nominal, squared: no ties")
    rest_price: float = Field(1.0, ge=0)
    abort_after_s: float = Field(30.0, gt=0, description="wall clock; what it cuts off is no plan")
    explain: bool = True
    limits: tuple[Limit, ...] = Field((), description="besides the site's, as hard as they")

    @property
    def prices(self) -> dict[str, float]:
        """Price of a break by the limit's tier."""
        return {"wish": self.wish_price, "demand": self.demand_price, "site": self.site_price}
