"""The plant that a site pack names, in this process: an emulator's or a simulator's."""

from __future__ import annotations

import importlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

from graph.errors import InputError, RefusedError, UnavailableError
from graph.site import Site
from graph.sitepack import SitePack
from scenarios.recorded_plant import READ_ONLY
from scenarios.simulated_plant import SimulatedPlant

if TYPE_CHECKING:
    from scenarios.emulated_microgrid.plant import EmulatedPlant

# Simulator kind -> "module:function". A builder is called as builder(pack, start, seed) and returns
# the plant at `start`, its watchdog off.
BUILDERS = {
    "energyplus": "scenarios.energyplus.build:build",
    "boptest": "scenarios.boptest_plant:build",
    "fmu": "scenarios.fmu_plant:build",
    "process": "scenarios.process_plant:build",
}
EXTRA = "plants"


def build_plant(pack: SitePack, start: datetime, seed: int) -> SimulatedPlant | EmulatedPlant:
    """The pack's plant at `start`, warmed up under its own law, without a watchdog on wall time.

    Raises:
        InputError: the pack names no plant that this installation can stand up, or the start is
            outside of what the plant can do.
        UnavailableError: what the plant needs is not installed or does not answer.
        RefusedError: `read_only`, for a site of recorded telemetry.
    """
    refuse_recorded(pack.site)
    plant = pack.site.plant
    if plant.simulator is not None:
        return _simulated(plant.simulator.kind, pack, start, seed)
    module = plant.emulator
    if module is None or not module.startswith("scenarios."):
        raise InputError(
            f"site {pack.site.id} has no emulated or simulated plant of this installation",
            "see plant.simulator in site.yaml; a pack cannot run code of its own",
        )
    emulated: Any = importlib.import_module(f"{module}.plant").EmulatedPlant
    built: EmulatedPlant = emulated(
        pack.site, pack.folder / "data", start, seed, watchdog_s=float("inf")
    )
    return built


def refuse_recorded(site: Site) -> None:
    """Raises RefusedError `read_only` for a site whose plant is recorded telemetry."""
    if site.plant.adapter == "recorded":
        raise RefusedError(
            READ_ONLY,
            f"site {site.id} is recorded telemetry: nothing can command it",
            "run `pilothouse shadow`, which writes nothing",
        )


def _simulated(kind: str, pack: SitePack, start: datetime, seed: int) -> SimulatedPlant:
    module, function = BUILDERS[kind].split(":")
    try:
        plant: SimulatedPlant = getattr(importlib.import_module(module), function)(
            pack, start, seed
        )
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"a plant of kind {kind} needs {error.name}, which is not installed",
            f"pip install 'pilothouse[{EXTRA}]'",
        ) from error
    return plant
