"""Who is compared: the pins that each is installed with, its driver, and how it is set."""

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from api.peers.peer_process import PeerProcess
from api.peers.peer_venv import REQUIREMENTS, Installed, cache_folder, install
from graph.errors import UnavailableError

DRIVERS = Path(__file__).parent / "drivers"
ROOT = Path(__file__).parents[2]
INSTALL_LIMIT_S = 300.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Peer:
    """A planner: `pins` names its requirements ("" runs in this interpreter, as ours does)."""

    name: str
    pins: str
    module: str  # a driver's file, or a module of ours
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether it is this project's planner."""
        return not self.pins


OURS = "pilothouse"
PYMGRID = Peer("python-microgrid", "pymgrid", "pymgrid_driver.py")
DISPATCH = (
    Peer(OURS, "", "api.peers.own_dispatch"),
    Peer(OURS, "", "api.peers.own_dispatch", {"PILOTHOUSE_LEVEL": "yes"}),
    Peer("EMHASS, its defaults", "emhass", "emhass_driver.py", {"EMHASS_AS": "shipped"}),
    Peer("EMHASS, told the worth", "emhass", "emhass_driver.py", {"EMHASS_AS": "told"}),
    PYMGRID,
)

QUICK_ONES = tuple(p for p in DISPATCH if p.pins != "emhass")  # fast enough for a month

TANKS = (
    Peer(OURS, "", "api.peers.own_nmpc"),
    Peer(OURS, "", "api.peers.own_nmpc", {"PILOTHOUSE_CODE": "interpreted"}),
    Peer("do-mpc", "do_mpc", "do_mpc_driver.py"),
    Peer("AgentLib-MPC", "agentlib_mpc", "agentlib_driver.py"),
)

Places = Mapping[str, Installed | UnavailableError]


def installed(peers: tuple[Peer, ...], say: Say) -> Places:
    """The interpreter of every environment that the peers need, or why there is none."""
    names = sorted({p.pins for p in peers if p.pins})

    def one(name: str) -> Installed | UnavailableError:
        pins = REQUIREMENTS / f"{name}.txt"
        try:
            return install(name, pins, cache_folder(), INSTALL_LIMIT_S)
        except UnavailableError as error:
            return error

    say(f"environments of {', '.join(names)} in {cache_folder()}")
    with ThreadPoolExecutor(2) as pool:  # downloads wait, unpacking does not
        return dict(zip(names, pool.map(one, names), strict=True))


def open_peer(peer: Peer, places: Places) -> PeerProcess:
    """Start a peer's driver.

    Raises:
        UnavailableError: it could not be installed.
        PeerError: its process does not start.
    """
    if peer.ours:
        return PeerProcess(
            (sys.executable, "-m", peer.module), {"PYTHONPATH": str(ROOT), **peer.environment}
        )
    place = places[peer.pins]
    if isinstance(place, UnavailableError):
        raise place
    return PeerProcess((place.python, DRIVERS / peer.module), peer.environment)
