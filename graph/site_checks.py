"""Checks that span a whole site. Each raises ValueError naming the place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph.errors import InputError
from graph.units import canonical_unit

if TYPE_CHECKING:
    from graph.site import Site


def check_site(site: Site) -> None:
    """Names resolve, units exist, limits do not cross, feeding has no cycle."""
    _check_unique(site)
    _check_units(site)
    _check_references(site)
    _check_limits(site)
    _check_topology(site)


def _check_unique(site: Site) -> None:
    for what, names in (
        ("asset", [a.id for a in site.assets]),
        ("signal", [s.id for s in site.signals]),
    ):
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise ValueError(f"{what} declared twice: {', '.join(sorted(twice))}")


def _check_units(site: Site) -> None:
    for spec in site.signals:
        try:
            canonical_unit(spec.unit)
        except InputError as error:
            raise ValueError(f"signal {spec.id}: {error}") from error
        for suffix, unit in (("_kw", "kW"), ("_degc", "degC"), ("_pct", "percent")):
            if spec.id.endswith(suffix) and canonical_unit(spec.unit) != unit:
                raise ValueError(
                    f"signal {spec.id}: its name says {unit}, its unit says {spec.unit}"
                )


def _check_references(site: Site) -> None:
    assets = {a.id for a in site.assets}
    signals = {s.id for s in site.signals}
    for spec in site.signals:
        if spec.asset not in assets:
            raise ValueError(f"signal {spec.id}: there is no asset {spec.asset!r}")
        if spec.follows and spec.follows not in signals:
            raise ValueError(f"signal {spec.id}: follows unknown signal {spec.follows!r}")
    for asset in site.assets:
        for field in ("sink", "source"):
            target = getattr(asset, field, None)
            if target is not None and target not in assets:
                raise ValueError(f"asset {asset.id}: {field} names unknown asset {target!r}")
    for edge in site.topology:
        for end in (edge.source, edge.target):
            if end not in assets:
                raise ValueError(f"topology names unknown asset {end!r}")
    for limit in site.limits:
        if limit.signal not in signals:
            raise ValueError(f"limit on unknown signal {limit.signal!r}")


def _check_limits(site: Site) -> None:
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for limit in site.limits:
        if limit.minimum is None and limit.maximum is None:
            raise ValueError(f"limit on {limit.signal} has neither minimum nor maximum")
        if limit.minimum is not None:
            low[limit.signal] = max(low.get(limit.signal, limit.minimum), limit.minimum)
        if limit.maximum is not None:
            high[limit.signal] = min(high.get(limit.signal, limit.maximum), limit.maximum)
    for signal in low.keys() & high.keys():
        if low[signal] >= high[signal]:
            raise ValueError(
                f"limits on {signal} leave nothing: minimum {low[signal]} is not below "
                f"maximum {high[signal]}"
            )


def _check_topology(site: Site) -> None:
    feeds: dict[str, list[str]] = {}
    for edge in site.topology:
        if edge.kind in ("feeds", "heats"):
            feeds.setdefault(edge.source, []).append(edge.target)
    done: set[str] = set()

    def visit(node: str, path: tuple[str, ...]) -> None:
        if node in path:
            raise ValueError(f"topology feeds in a circle: {' -> '.join((*path, node))}")
        if node in done:
            return
        for target in feeds.get(node, ()):
            visit(target, (*path, node))
        done.add(node)

    for start in feeds:
        visit(start, ())
