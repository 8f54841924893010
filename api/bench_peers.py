"""`bench peers`: our planner beside the peers, each as shipped, on the same problem and machine.

Every planner, ours too, runs in a process of its own with one thread and is asked over the same
pipe; the peers have environments of their own with pinned versions. Processor milliseconds are
counted inside each process from the question to the answer, the first answer apart for all of them.
"""

from api.bench_figure import Figure
from api.peers.dispatch_case import PUBLISHED_FIRST, PUBLISHED_LAST
from api.peers.dispatch_rows import dispatch_rows, published_rows
from api.peers.peer_list import DISPATCH, QUICK_ONES, TANKS, Say, installed
from api.peers.tanks_rows import tanks_rows

DAYS, QUICK_DAYS = 5, 1
LONG_DAYS = 32  # as far as the pack's record goes
HOURS, QUICK_HOURS = PUBLISHED_LAST - PUBLISHED_FIRST, 336
STEPS, QUICK_STEPS = 60, 20


def run_bench(*, quick: bool, say: Say) -> list[Figure]:
    """Every figure, in one run. A peer that is not to be had is a row with its reason."""
    places = installed((*DISPATCH, *TANKS), say)
    figures = dispatch_rows(QUICK_DAYS if quick else DAYS, places, say)
    if not quick:
        figures += dispatch_rows(LONG_DAYS, places, say, QUICK_ONES, ("persistence",))
    figures += published_rows(QUICK_HOURS if quick else HOURS, places, say)
    return figures + tanks_rows(QUICK_STEPS if quick else STEPS, places, say)
