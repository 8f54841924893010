"""A margin keeps a plan clear of the export limit; it never demands an import."""

import pytest

from graph.site import Site
from planner.dispatch_inputs import dispatch_inputs
from planner.dispatch_problem import build_problem
from planner.hub_model import hub_numbers
from planner.margins import Margins
from sandbox.energy_hub import HubTwin
from sandbox.parameters import initial_parameters
from tests.test_dispatch import Day, site, wish


@pytest.mark.parametrize(("export_kw", "expected"), [(40.0, 2.0), (1.5, 1.5), (0.0, 0.0)])
def test_the_margin_on_the_export_limit_ends_at_no_exchange(
    export_kw: float, expected: float
) -> None:
    """A building that never exports declares 0 kW: 2 kW inside that would be 2 kW of import."""
    document = site().model_dump(mode="json")
    document["limits"] = [d for d in document["limits"] if d["signal"] != "grid.power_kw"]
    for asset in document["assets"]:
        if asset["id"] == "grid":
            asset["export_limit_kw"] = export_kw
    changed = Site.model_validate(document)
    snapshot = Day().snapshot()
    hub = hub_numbers(changed, HubTwin(changed, initial_parameters(changed)))
    data = dispatch_inputs(changed, hub, snapshot)
    bounds = build_problem(data, wish(snapshot), Margins(import_kw=2.0)).bounds
    by_side = {b.sense: b for b in bounds if b.signal == "grid.power_kw"}
    assert by_side[1].value[0] == -export_kw
    assert by_side[1].margin == expected
    assert by_side[-1].margin == 2.0  # the import limit keeps the whole of it
