"""CityLearn's environment as a peer: installed by itself, run in a process of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api.peers.peer_process import PeerError, PeerProcess
from api.peers.peer_venv import REQUIREMENTS, cache_folder, install
from graph.errors import UnavailableError
from planner.lead_forecast import Observed
from sandbox.curve_battery import BatteryCurves

Array = NDArray[np.float64]
DRIVER = Path(__file__).with_name("driver.py")
DATASET = "citylearn_challenge_2022_phase_all"
START_S, STEP_S = 300.0, 60.0
INSTALL_S = 1800.0
TORCH = "torch==2.13.0"  # which CityLearn imports; what it needs itself differs by machine


@dataclass(frozen=True)
class District:
    """What is known before the first hour. `price`, `carbon`: the window's hours and 24 beyond."""

    hours: int
    batteries: tuple[BatteryCurves, ...]
    pv_rated_kw: Array
    most_action: Array
    price: Array
    carbon: Array


@dataclass(frozen=True)
class Hour:
    """An observation: what was measured in the hour, and the charge at its end, (B,) kWh."""

    observed: Observed
    charge_kwh: Array
    net_kw: Array


@dataclass(frozen=True)
class Verdict:
    """The environment's own evaluation, and the net loads that it counted, (B, hours) each."""

    terms: Mapping[str, float]
    net_kw: Array
    without_kw: Array


def installed_python(say: Callable[[str], None]) -> Path:
    """The interpreter that has CityLearn; the first call installs it, which takes minutes.

    Raises:
        UnavailableError: offline, too slow, or the pins don't install on this Python.
    """
    say("CityLearn's own environment (the first time: minutes, about 2 GB)")
    return install(
        "citylearn", REQUIREMENTS / "citylearn.txt", cache_folder(), INSTALL_S, (TORCH,)
    ).python


class CityLearnEnvironment:
    """One run over hours `start` to `end` (inclusive) of buildings `first` to `last`.

    Raises UnavailableError (every method) when the process fails or does not answer in time.
    """

    def __init__(self, python: Path, buildings: tuple[int, int], start: int, end: int) -> None:
        arguments = [str(v) for v in (*buildings, start, end)]
        self._process = PeerProcess([python, "-P", DRIVER, DATASET, *arguments], {})
        self.district = district_of(self._ask({"tell": "district"}, START_S))
        self.first = self._hour(self._ask({"tell": "hour"}, STEP_S))

    def step(self, power_kw: Array) -> Hour:
        """Ask each battery for a power in the next hour, (B,) kW."""
        capacity = np.array([b.capacity_kwh for b in self.district.batteries])
        most = self.district.most_action
        actions = np.clip(power_kw / capacity, -most, most)
        return self._hour(self._ask({"actions": actions.tolist()}, STEP_S))

    def verdict(self) -> Verdict:
        """The score, after the last hour."""
        found = self._ask({"tell": "score"}, START_S)
        return Verdict(found["terms"], np.array(found["net_kw"]), np.array(found["without_kw"]))

    def __enter__(self) -> "CityLearnEnvironment":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.close()

    def _ask(self, document: dict[str, Any], limit_s: float) -> dict[str, Any]:
        try:
            return self._process.ask(document, limit_s)
        except PeerError as error:
            raise UnavailableError(f"CityLearn {error.message}") from error

    def _hour(self, told: Mapping[str, Any]) -> Hour:
        weather = {int(k): (v[0], v[1], v[2]) for k, v in told["weather"].items()}
        observed = Observed(np.array(told["load_kw"]), np.array(told["pv_kw"]), weather)
        capacity = np.array([b.capacity_kwh for b in self.district.batteries])
        return Hour(observed, np.array(told["charge"]) * capacity, np.array(told["net_kw"]))


def district_of(told: Mapping[str, Any]) -> District:
    def curves(b: Mapping[str, Any]) -> BatteryCurves:
        return BatteryCurves(
            b["capacity_kwh"], b["nominal_kw"], np.array(b["efficiency"]), np.array(b["power"]),
            b["fade"], b["start_efficiency"],
        )  # fmt: skip

    batteries: Sequence[Mapping[str, Any]] = told["batteries"]
    return District(
        told["hours"], tuple(curves(b) for b in batteries), np.array(told["pv_rated_kw"]),
        np.array(told["most_action"]), np.array(told["price"]), np.array(told["carbon"]),
    )  # fmt: skip
