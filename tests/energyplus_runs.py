"""Stretches of the small office on EnergyPlus, as a site would record them."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from graph.sitepack import load_site
from graph.telemetry import Frame
from scenarios.build_office_data import excitation
from scenarios.energyplus.build import building
from scenarios.energyplus.faults import EnergyPlusFault
from scenarios.energyplus.simulator import EnergyPlusPlant

FOLDER = Path(__file__).resolve().parent.parent / "scenarios" / "office_small"
PACK = load_site(FOLDER)
DAY = 96  # steps


def recorded(
    begin: datetime, days: int, faults: Sequence[EnergyPlusFault] = (), excite: int | None = None
) -> Frame:
    """What the site's signals show, under the building's own law or an excitation's seed."""
    plant = EnergyPlusPlant(building(FOLDER, PACK.site, tuple(faults)), begin)
    steps = days * DAY
    plan = [{}] * steps if excite is None else list(excitation(PACK.site, steps, excite))
    rows, first = [], None
    for commands in plan:
        rows.append(plant.step(commands))
        first = first or plant.time
    plant.close()
    return Frame(
        first,
        PACK.site.step_s,
        {s.id: np.array([r[s.id] for r in rows]) for s in PACK.site.signals},
    )
