"""What a plugin gets to see of a snapshot: its grant, and not a value more.

This is all that is sent to its process. Besides signals there are tariff columns
(`tariff.import_price`, `tariff.export_price`, `tariff.carbon`) and nameplate figures
(`asset.field`, every number that the site pack gives for an asset).
"""

from typing import Any

from graph.signals import Owner, Quality, Role
from graph.site import Site
from graph.snapshot import Snapshot
from plugins.manifest import Grant
from plugins.patterns import matches
from plugins.submission import PointRule


def point_rules(snapshot: Snapshot, site: Site, grant: Grant) -> dict[str, PointRule]:
    """The granted setpoints with their ranges: signal's and site's limits, the narrower one."""
    held = {h.point: h.owner for h in snapshot.holds}
    held |= {
        p: state.by or "an operator"
        for p, state in snapshot.points.items()
        if state.owner is Owner.OPERATOR
    }
    rules = {}
    for spec in site.setpoints:
        if not matches(grant.points, spec.id):
            continue
        limits = [limit for limit in site.limits if limit.signal == spec.id]
        rules[spec.id] = PointRule(
            unit=spec.unit,
            minimum=max([spec.minimum, *(x.minimum for x in limits if x.minimum is not None)]),
            maximum=min([spec.maximum, *(x.maximum for x in limits if x.maximum is not None)]),
            least=spec.zero_or_above or 0.0,
            held_by=held.get(spec.id, ""),
        )
    return rules


def run_inputs(snapshot: Snapshot, site: Site, grant: Grant) -> dict[str, Any]:
    """The JSON document that a worker answers its guest's questions from."""
    rules = point_rules(snapshot, site, grant)
    tables: dict[str, dict[str, Any]] = {
        "units": _units(site),
        "latest": _latest(snapshot, site),
        "history": dict(snapshot.history.signals),
        "forecast": _forecasts(snapshot),
        "nameplate": _nameplates(site),
    }
    seen: dict[str, Any] = {
        kind: {name: v for name, v in table.items() if matches(grant.telemetry, name)}
        for kind, table in tables.items()
    }
    seen["units"] |= {point: rule.unit for point, rule in rules.items()}
    return {
        **seen,
        "telemetry": list(grant.telemetry),
        "rules": {point: vars(rule) for point, rule in rules.items()},
        "now": snapshot.as_of.timestamp(),
        "steps": snapshot.horizon_steps,
    }


def run_context(snapshot: Snapshot, site: Site, seed: int) -> dict[str, Any]:
    """The argument of `propose`."""
    return {
        "site": site.id,
        "run": snapshot.digest,
        "now": snapshot.as_of.timestamp(),
        "step": float(snapshot.step_s),
        "steps": snapshot.horizon_steps,
        "seed": seed % 2**32,
    }


def _units(site: Site) -> dict[str, str]:
    price = f"{site.currency}/kWh"
    tariff = {
        "tariff.import_price": price,
        "tariff.export_price": price,
        "tariff.carbon": "g/kWh",
    }
    return {s.id: s.unit for s in site.signals} | tariff


def _latest(snapshot: Snapshot, site: Site) -> dict[str, float]:
    found = {}
    for spec in site.signals:
        if spec.role is Role.SETPOINT and spec.id in snapshot.points:
            found[spec.id] = snapshot.points[spec.id].applied
            continue
        reading = snapshot.readings.get(spec.id)
        if reading is None or reading.value is None or reading.quality is Quality.BAD:
            continue
        if (snapshot.as_of - reading.time).total_seconds() <= spec.stale_after_s:
            found[spec.id] = reading.value
    return found


def _forecasts(snapshot: Snapshot) -> dict[str, tuple[float, ...]]:
    steps, prices = snapshot.horizon_steps, snapshot.prices
    columns = {f.signal: f.values[:steps] for f in snapshot.forecasts}
    return columns | {
        "tariff.import_price": prices.import_price[:steps],
        "tariff.export_price": prices.export_price[:steps],
        "tariff.carbon": prices.carbon_g_per_kwh[:steps],
    }


def _nameplates(site: Site) -> dict[str, float]:
    return {
        f"{asset.id}.{field}": float(value)
        for asset in site.assets
        for field, value in asset
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
