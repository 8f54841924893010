"""Patterns over points: `asset.quantity`, where either half may be `*`.

Deliberately poor: so whether a grant lies within what was asked can be decided by looking, without
enumerating a site's points. Free of heavy imports, since the worker process needs it too.
"""

from collections.abc import Iterable


def covers(pattern: str, other: str) -> bool:
    """Whether every point that `other` (a pattern or a point) means is meant by `pattern` too."""
    halves = zip(pattern.split(".", 1), other.split(".", 1), strict=True)
    return all(mine in ("*", theirs) for mine, theirs in halves)


def matches(patterns: Iterable[str], point: str) -> bool:
    """Whether one of `patterns` covers `point`. A name without exactly one dot matches nothing."""
    return point.count(".") == 1 and any(covers(p, point) for p in patterns)
