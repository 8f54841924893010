"""One face over both planners: dispatch for hubs and buildings, equations for everything else."""

from graph.intent import Intent
from graph.plan import Plan
from graph.site import Site
from graph.snapshot import Snapshot
from planner.dispatch import plan_dispatch
from planner.dispatch_options import SolveOptions
from planner.margins import Margins


def make_plan(
    site: Site,
    twin: object,
    snapshot: Snapshot,
    intent: Intent,
    *,
    margin: Margins | None = None,
    incumbent: Plan | None = None,
    options: SolveOptions | None = None,
) -> Plan:
    """Plan the snapshot's horizon with the planner that the site's twin is for.

    For a twin of kind `ode`, `options` give the time limit and whether to explain; its margins
    come from the twin's own errors and `margin`, which is of rooms and storage, means nothing to
    it. See `planner.dispatch.plan_dispatch` and `planner.nmpc.plan_nmpc`.
    """
    if site.twin.kind != "ode":
        return plan_dispatch(
            site, twin, snapshot, intent, margin=margin, incumbent=incumbent, options=options
        )
    from planner.nmpc import plan_nmpc
    from planner.nmpc_options import NmpcOptions
    from sandbox.ode_twin import OdeTwin

    assert isinstance(twin, OdeTwin)
    options = options or SolveOptions()
    mine = NmpcOptions(abort_after_s=options.abort_after_s, explain=options.explain)
    return plan_nmpc(site, twin, snapshot, intent, options=mine)
