"""One shadow run's digest, for tests that compare processes: `python -m tests.shadow_digest`."""

from functools import cache
from pathlib import Path

from graph.canonical import canonical_bytes, digest_bytes
from graph.sitepack import load_site
from sandbox.energy_hub import HubTwin
from sandbox.futures import sample_futures
from sandbox.parameters import load_parameters
from sandbox.scenario import roll_out_plans
from sandbox.shadow import evaluate

FOLDER = Path(__file__).resolve().parent.parent / "scenarios" / "microgrid"
FUTURES, SEED = 120, 5


@cache
def twin() -> HubTwin:
    """The pack's twin, which has errors of its own."""
    site = load_site(FOLDER).site
    return HubTwin(site, load_parameters(FOLDER / site.twin.parameters))


def shadow_digest() -> str:
    """Digest of everything that a shadow run finds."""
    from tests.test_shadow import SITE, intent, plan, rooms, snapshot

    wanted = intent(rooms(minimum=20.5))
    candidate = plan(battery=4.0, hp=6.0)
    result = evaluate(SITE, twin(), snapshot(), wanted, [candidate], FUTURES, SEED, None, 8)
    return digest_bytes(canonical_bytes(result))


def part_traces(first: int, stop: int) -> dict[str, bytes]:
    """Traces of doing nothing in futures first..stop-1, as bytes by signal."""
    from tests.test_shadow import snapshot

    image = snapshot()
    drawn = sample_futures(twin(), image, stop, SEED).part(first, stop)
    (traces,) = roll_out_plans(twin(), image, drawn, [None])
    return {s: v.tobytes() for s, v in traces.items()}


if __name__ == "__main__":
    print(shadow_digest())
