"""The plant of a pack whose simulator is EnergyPlus."""

import importlib.util
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from graph.errors import InputError, UnavailableError
from graph.record import as_utc
from graph.simulators import EnergyPlusSimulator
from graph.site import Site
from graph.sitepack import SitePack
from scenarios.energyplus.faults import EnergyPlusFault
from scenarios.energyplus.run import Building
from scenarios.energyplus.simulator import EnergyPlusPlant
from scenarios.simulated_plant import SimulatedPlant

WATCHDOG_OFF = float("inf")


def build(
    pack: SitePack, start: datetime, seed: int, faults: Sequence[EnergyPlusFault] = ()
) -> SimulatedPlant:
    """The pack's building at `start`, after its warm-up days under its own law.

    The building has no randomness: `seed` is for broken sensors alone.

    Raises:
        InputError: the pack's building, weather or map is unusable, or a start off the step.
        UnavailableError: pyenergyplus-lbnl is not installed, or the engine gave up.
    """
    what = building(pack.folder, pack.site, faults)
    warm_up = timedelta(days=what.simulator.warm_up_days)
    simulator = EnergyPlusPlant(what, as_utc(start) - warm_up)
    try:
        return SimulatedPlant(pack.site, simulator, seed=seed, watchdog_s=WATCHDOG_OFF, start=start)
    except BaseException:
        simulator.close()
        raise


def building(folder: Path, site: Site, faults: Sequence[EnergyPlusFault] = ()) -> Building:
    """The pack's files, found in the pack or in the package's data set. Raises as `build`."""
    simulator = site.plant.simulator
    if not isinstance(simulator, EnergyPlusSimulator):
        raise InputError(f"site {site.id} names no EnergyPlus building")
    if importlib.util.find_spec("pyenergyplus") is None:
        raise UnavailableError(
            "an EnergyPlus plant needs pyenergyplus-lbnl, which is not installed",
            "pip install 'pilothouse[plants]'",
        )
    from pyenergyplus.dataset import ashrae_models, ref_models, weather_files

    models = {f"ashrae_{k}": v for k, v in ashrae_models.items()}
    models |= {f"reference_{k}": v for k, v in ref_models.items()}
    return Building(
        site, simulator, _file(folder, simulator.building, models, "building"),
        _file(folder, simulator.weather, weather_files, "weather"), tuple(faults),
    )  # fmt: skip


def _file(folder: Path, name: str, known: dict[str, str], what: str) -> Path:
    from graph.sitepack import inner_path

    if name in known:
        return Path(known[name])
    if name.endswith((".idf", ".epw")):
        return inner_path(folder, name)
    raise InputError(f"unknown {what} {name!r}", f"a file of the pack, or: {', '.join(known)}")
