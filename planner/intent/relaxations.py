"""Permissions for a while: if the price goes above 0.40, let it drift to 18.

A permission is a looser bound in its window, and an exception of that window from the band that
holds otherwise. Without a condition or hours it would be a permission for ever, and is asked about.
"""

from collections.abc import Sequence

from graph.intent import Band, Constraint, Window
from graph.site import Site
from planner.intent.clause import Clause
from planner.intent.lexicon import K
from planner.intent.quantities import to_unit
from planner.intent.subjects import kind_of, named_assets, signals_of
from planner.intent.targets import antecedent
from planner.intent.vocabulary import asset_name
from planner.intent.wish import Context, Wish, quote
from planner.intent.words import number, unit_sign

_LOWER, _UPPER = "lower", "upper"


def parse_relaxation(clause: Clause, context: Context) -> Wish | None:
    """Let the rooms drift to 18, in a window or on a condition; let the battery go to 20 %."""
    numbers = [i.value for i in clause.all(K.NUMBER)]
    moves = clause.has(K.MOVE, K.DISCHARGE, K.DOWN, K.UP, K.HEAT, K.COOL)
    if not clause.has(K.LET) or not moves or len(numbers) != 1 or numbers[0].doubt:
        return None
    if clause.has(K.NOT, K.RANGE, K.OFF, K.STARTS, K.PER_TIME, K.AT_LEAST, K.AT_MOST):
        return None
    named = clause.take(K.SUBJECT, K.SIGNAL)
    assets = named_assets(named) or antecedent(context)
    if not assets:
        return None
    attribute = next((i.value for i in clause.take(K.ATTRIBUTE)), "")
    signals, question = signals_of(context.site, assets, attribute, numbers[0].unit)
    if question:
        return Wish(questions=(question,))
    spec = context.site.signal(signals[0])
    value = to_unit(numbers[0].low, numbers[0].unit, spec.unit)
    words = context.text[clause.start : clause.end].lower()
    side = _side(context, signals, value, words)
    if not side:
        name = asset_name(context.site, assets[0])
        return Wish(questions=(
            f"In {quote(clause, context)}: is the {name} to stay above or below "
            f"{number(value)} {unit_sign(spec.unit)} then?",
        ))  # fmt: skip
    clause.take(
        K.NUMBER, K.LET, K.MOVE, K.DISCHARGE, K.DOWN, K.UP, K.LOW, K.ABOVE, K.BELOW, K.HEAT, K.COOL
    )
    when = clause.when()
    low, high = (value, None) if side == _LOWER else (None, value)
    firm = kind_of(context.site, assets[0]) == "battery"
    band = Band(
        signals=signals, minimum=low, maximum=high, unit=spec.unit, hard=firm,
        chance=None if firm else 0.95, window=when.window,
        text=context.text[clause.start : clause.end],
    )  # fmt: skip
    plain: tuple[str, ...] = () if numbers[0].unit.name else (
        f"numbers without a unit in {quote(clause, context)} are read as {unit_sign(spec.unit)}",
    )  # fmt: skip
    if not named_assets(named) and not context.last_assets:
        plain += (f"“it” in {quote(clause, context)} is read as the rooms",)
    return Wish(
        constraints=(band,), assets=assets, relaxes=True, questions=when.questions,
        notes=(*when.notes, *plain),
    )  # fmt: skip


def _side(context: Context, signals: tuple[str, ...], value: float, words: str) -> str:
    """Which side gives way: said by the verb, or by where the number lies beside the band."""
    down = any(f" {w}" in f" {words}" for w in ("drop", "fall", "sink", "down", "cool", "dip",
                                                "drain", "discharge", "below", "sag"))  # fmt: skip
    up = any(f" {w}" in f" {words}" for w in ("rise", "up", "climb", "warm", "heat", "above"))
    if down != up:
        return _LOWER if down else _UPPER
    lows, highs = _edges(context, signals)
    if lows and value <= min(lows):
        return _LOWER
    return _UPPER if highs and value >= max(highs) else ""


def _edges(context: Context, signals: tuple[str, ...]) -> tuple[list[float], list[float]]:
    """Both edges of the bands said so far, else of the site's comfort band."""
    bands = [c for w in context.before for c in w.constraints
             if isinstance(c, Band) and set(c.signals) & set(signals)]  # fmt: skip
    lows = [b.minimum for b in bands if b.minimum is not None]
    highs = [b.maximum for b in bands if b.maximum is not None]
    comfort = context.site.comfort
    if not bands and comfort and all(s.endswith(".temp_degc") for s in signals):
        return [comfort.lower_degc], [comfort.upper_degc]
    return lows, highs


def relax(
    constraints: Sequence[Constraint], permissions: Sequence[Constraint], site: Site
) -> tuple[list[Constraint], list[str], list[str]]:
    """The constraints with the permissions' windows excepted, what was assumed, and questions.

    A permission keeps the other side, and the strictness, of the band that it loosens.
    """
    found, notes, questions = list(constraints), list[str](), list[str]()
    for band in permissions:
        assert isinstance(band, Band)
        window = band.window
        if window == Window() or (
            window.condition and window != Window(condition=window.condition)
        ):
            said = f"“{band.text.strip()}” sounds like a permission"
            questions.append(f"{said}: what must hold, and when (on one condition, or in hours)?")
            continue
        base = [c for c in found if isinstance(c, Band) and c not in permissions
                and _loosens(band, c)]  # fmt: skip
        looser = _beside(band, base)
        bare = tuple(s for s in band.signals if _comfort(site, s)
                     and not any(s in c.signals for c in base))  # fmt: skip
        extra: list[Constraint] = []
        if bare and not site.of_kind("air_unit") and site.comfort:
            low, high = site.comfort.lower_degc, site.comfort.upper_degc
            notes.append(f"otherwise the site's comfort band, {low:g} to {high:g} °C, holds")
            comfort = Band(signals=bare, minimum=low, maximum=high, unit="degC", text=band.text)
            looser = _beside(band, [comfort]) if not base else looser
            extra = [comfort.model_copy(update={"window": Window(exceptions=(window,))})]
        found = [
            part for c in found
            for part in (_without(c, band) if c in base else
                         [looser, *extra] if c is band else [c])
        ]  # fmt: skip
    return found, notes, questions


def overrides(constraints: Sequence[Constraint]) -> tuple[list[Constraint], list[str]]:
    """Where a later band of some hours, or of some rooms, is looser than an earlier one that always
    holds, it takes its place there: rooms 20-24, at night 16-26, south rooms 18-26.

    Returns:
        The constraints, and what was assumed.
    """
    found, notes = list(constraints), list[str]()
    for later in [c for c in constraints if isinstance(c, Band)]:
        if later.window.exceptions or not any(c is later for c in found):
            continue
        before = found[: next(k for k, c in enumerate(found) if c is later)]
        base = [c for c in before if isinstance(c, Band) and _loosens(later, c)
                and c.window == Window() and (later.hard or not c.hard)
                and (later.window != Window() or set(later.signals) < set(c.signals))]  # fmt: skip
        if not base:
            continue
        found = [
            part for c in found
            for part in (_without(c, later) if any(c is b for b in base) else [c])
        ]  # fmt: skip
        notes += [
            f"“{later.text.strip()}” takes the place of “{c.text.strip()}” "
            + ("for what it names" if later.window == Window() else "in its time")
            for c in base
        ]
    return found, notes


def _loosens(band: Band, constraint: Band) -> bool:
    """Whether a permission gives way where the constraint would not."""
    below = None not in (band.minimum, constraint.minimum) and (
        (constraint.minimum or 0.0) > (band.minimum or 0.0)
    )
    above = None not in (band.maximum, constraint.maximum) and (
        (constraint.maximum or 0.0) < (band.maximum or 0.0)
    )
    return bool(set(constraint.signals) & set(band.signals)) and (below or above)


def _beside(band: Band, base: Sequence[Band]) -> Band:
    """The permission with the other side and the strictness of a band that it loosens."""
    whole = next((c for c in base if set(band.signals) <= set(c.signals)), None)
    if whole is None or whole.window != Window():
        return band
    low = band.minimum if band.minimum is not None else whole.minimum
    high = band.maximum if band.maximum is not None else whole.maximum
    update = {"minimum": low, "maximum": high, "hard": whole.hard, "chance": whole.chance}
    return band.model_copy(update=update)


def _without(constraint: Constraint, band: Band) -> list[Constraint]:
    """A band with the permission's window excepted on the signals that they share."""
    assert isinstance(constraint, Band)
    shared = tuple(s for s in constraint.signals if s in band.signals)
    apart = tuple(s for s in constraint.signals if s not in band.signals)
    held = constraint.window.exceptions
    exceptions = held if band.window in held else (*held, band.window)
    inside = constraint.window.model_copy(update={"exceptions": exceptions})
    parts: list[Constraint] = [constraint.model_copy(update={"signals": shared, "window": inside})]
    parts = parts if band.window != Window() else []
    return [*parts, constraint.model_copy(update={"signals": apart})] if apart else parts


def _comfort(site: Site, signal: str) -> bool:
    asset = next(a for a in site.assets if a.id == signal.split(".", 1)[0])
    return bool(site.comfort and getattr(asset, "group", "") == site.comfort.group)
