"""Least running, standing and holding times that an intent asks for, as the site's own.

Everything that keeps the site's own times (the programme's rows, the pattern search, the pace of
setpoints) keeps these too; an operator can only lengthen them.
"""

from graph.assets import HeatPump
from graph.errors import InputError
from graph.intent import Intent, MinimumTime
from graph.site import Site


def with_minimum_times(site: Site, intent: Intent) -> Site:
    """`site` with the intent's minimum times in its assets and setpoints.

    Raises:
        InputError: a least running time of what does not go on and off, or of a part of the plan.
    """
    for item in intent.constraints:
        if isinstance(item, MinimumTime):
            if not item.window.always or item.window.start or item.window.end:
                raise InputError(
                    f"“{item.text}” holds for a part of the plan only",
                    "ask for a minimum time over the whole plan",
                )
            for point in item.points:
                site = _lengthened(site, item, point)
    return site


def _lengthened(site: Site, item: MinimumTime, point: str) -> Site:
    if item.state == "same":
        signals = tuple(
            s.model_copy(update={"dwell_s": max(s.dwell_s, item.minimum_s)}) if s.id == point else s
            for s in site.signals
        )
        return site.model_copy(update={"signals": signals})
    pump = next((a for a in site.of_kind("heat_pump") if f"{a.id}.power_set_kw" == point), None)
    if not isinstance(pump, HeatPump):
        raise InputError(
            f"a least time {item.state} of {point}, which is not a heat pump's power setpoint",
            "limit the heat pump's running or standing time",
        )
    field = f"min_{item.state}_s"
    longer = pump.model_copy(update={field: max(getattr(pump, field), item.minimum_s)})
    return site.model_copy(
        update={"assets": tuple(longer if a.id == pump.id else a for a in site.assets)}
    )
