"""Which points of a test case stand for a site's signals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graph.errors import InputError
from graph.signals import Role
from graph.simulators import BoptestPoint, BoptestSimulator
from graph.site import Site
from scenarios.boptest.client import BoptestClient

U, ACTIVATE, MEASURED = "_u", "_activate", "_y"


@dataclass(frozen=True)
class BoptestPoints:
    """The site's signals at the test case: which are read, which are written, what else exists."""

    read: Mapping[str, tuple[str, ...]]
    read_back: Mapping[str, str]
    pairs: tuple[str, ...]


def find_points(site: Site, spec: BoptestSimulator, client: BoptestClient) -> BoptestPoints:
    """Match the map with what the test case has.

    Raises:
        InputError: naming the signal and what is wrong with its point.
    """
    measured, inputs = client.measurements(), client.inputs()
    read: dict[str, tuple[str, ...]] = {}
    read_back: dict[str, str] = {}
    for signal in site.signals:
        place = spec.points.get(signal.id)
        if place is None:
            raise InputError(
                f"{signal.id} has no point at {spec.testcase}", "add it to plant.simulator.points"
            )
        if place.scale == 0.0:
            raise InputError(f"{signal.id}: scale 0 tells nothing", "expected another number")
        if signal.role is Role.SETPOINT:
            _need(signal.id, (place.name, switch_of(place)), inputs, "inputs")
            own = place.name.removesuffix(U) + MEASURED
            read_back[signal.id] = own if own in measured else place.name
        else:
            names = (place.name, *place.plus)
            _need(signal.id, names, measured, "measurements")
            read[signal.id] = names
    switches = (name for name in inputs if name.endswith(ACTIVATE))
    return BoptestPoints(read, read_back, tuple(n.removesuffix(ACTIVATE) for n in switches))


def _need(signal: str, names: Sequence[str], there: Mapping[str, object], what: str) -> None:
    for name in names:
        if name not in there:
            raise InputError(
                f"{signal}: the test case has no {name}", f"its {what}: {', '.join(sorted(there))}"
            )


def switch_of(place: BoptestPoint) -> str:
    """The input that makes a setpoint's value count."""
    return place.activate or place.name.removesuffix(U) + ACTIVATE
