"""Clauses about starts and standstill."""

from dataclasses import replace

from graph.intent import Band, Constraint, KeepOff, StartLimit, Window
from graph.signals import Role
from graph.site import Site
from planner.intent.clause import Clause
from planner.intent.heating_cooling import named_sides, zones_of
from planner.intent.lexicon import K
from planner.intent.moments import Now
from planner.intent.subjects import kind_of, named_assets
from planner.intent.vocabulary import asset_name
from planner.intent.when import When, condensed, next_hours
from planner.intent.wish import Context, Wish

_DIRECTIONS = (K.AT_LEAST, K.AT_MOST, K.ABOVE, K.BELOW)


def parse_starts(clause: Clause, context: Context) -> Wish | None:
    """At most 4 heat-pump starts a day; no starts tonight."""
    numbers = clause.all(K.NUMBER)
    times = clause.has(K.TIMES) and clause.has(K.USE, K.SUBJECT)
    if not (clause.has(K.STARTS) or times) or not (numbers or clause.has(K.NOT)):
        return None
    if clause.has(K.MINIMISE, K.RANGE, K.OFF) or len(numbers) > 1:
        return None
    said = context.text[clause.start : clause.end]
    if clause.has(K.PER_OTHER, K.PER_TIME):
        clause.take_known()
        return Wish(
            questions=(f"Starts are counted by the day: how many a day are meant by “{said}”?",)
        )
    maximum, problem = _count(clause)
    if maximum is None:
        return Wish(questions=(f"How many starts a day at most in “{said}”?",)) if problem else None
    point, question = _start_point(clause, context.site)
    if question:
        return Wish(questions=(question,))
    soft = bool(clause.take(K.SOFT))
    clause.take(K.STARTS, K.TIMES, K.NUMBER, K.HARD, K.USE)
    daily = clause.take(K.PER_DAY) or not maximum
    notes = () if daily else (f"“{said}” is read as starts a day",)
    when = clause.when()
    limit = StartLimit(point=point, maximum=maximum, hard=not soft, window=when.window, text=said)
    return Wish(
        constraints=(limit,),
        assets=(point.split(".", 1)[0],),
        questions=when.questions,
        notes=(*when.notes, *notes),
    )


def _count(clause: Clause) -> tuple[int | None, bool]:
    """The greatest number of starts; None and whether to ask."""
    numbers, nots = clause.all(K.NUMBER), clause.all(K.NOT)
    directions = clause.all(*_DIRECTIONS)
    if not numbers:
        if len(nots) == 1 and not directions:
            clause.take(K.NOT)
            return 0, False
        return None, False
    amount = numbers[0].value
    if amount.doubt or amount.unit.name or amount.low != int(amount.low) or amount.low < 0:
        return None, True
    if not directions and not nots:
        return None, True
    if len(directions) != 1 or len(nots) > 1:
        return None, False
    count, kind = int(amount.low), directions[0].kind
    if (kind is K.AT_MOST and not nots) or (kind is K.ABOVE and nots):
        clause.take(K.NOT, *_DIRECTIONS)
        return count, False
    if kind is K.BELOW and not nots and count > 0:
        clause.take(*_DIRECTIONS)
        return count - 1, False
    return None, False


def _start_point(clause: Clause, site: Site) -> tuple[str, str]:
    points = [s.id for s in site.setpoints if s.zero_or_above is not None]
    assets = named_assets(clause.take(K.SUBJECT, K.SIGNAL))
    chosen = [p for p in points if p.split(".", 1)[0] in assets] if assets else points
    if len(chosen) == 1 and len(assets) <= 1:
        return chosen[0], ""
    names = ", ".join(asset_name(site, p.split(".", 1)[0]) for p in points) or "nothing here"
    return "", f"Which starts are to be counted? Starts are known of: {names}."


def parse_off(clause: Clause, context: Context) -> Wish | None:
    """Don't run the heat pump tonight; heat pump in maintenance; don't export."""
    nots = clause.all(K.NOT)
    still = clause.has(K.OFF) or any(i.value == "off" for i in clause.all(K.RUN_TIME))
    if (
        len(nots) + still != 1
        or clause.has(K.DURATION, K.EACH_RUN)
        or clause.has(*_DIRECTIONS, K.RANGE, K.NUMBER)
    ):
        return None
    flow = _no_flow(clause, context) if nots else None
    if flow:
        return flow
    assets = named_assets(clause.all(K.SUBJECT, K.SIGNAL))
    sides = named_sides(clause, context, assets)
    if sides and not clause.has(K.QUANTITY, K.ATTRIBUTE, K.IMPORT, K.EXPORT, K.CHARGE):
        return _side_off(clause, context, sides)
    if not assets or clause.has(K.QUANTITY, K.ATTRIBUTE, K.IMPORT, K.EXPORT, K.CHARGE):
        return None
    points = {a: _switch(context.site, a) for a in assets}
    fixed = [asset_name(context.site, a) for a, p in points.items() if p is None]
    clause.take(K.SUBJECT, K.SIGNAL, K.OFF, K.NOT, K.USE, K.HARD, K.OR, K.RUN_TIME)
    soft = bool(clause.take(K.SOFT)) or any(i.value == "soft" for i in nots)
    when, notes = _once(clause, context.now)
    if fixed:
        able = [asset_name(context.site, a.id) for a in context.site.assets
                if _switch(context.site, a.id)]  # fmt: skip
        if zones_of(context.site, ()):
            able += ["the heating", "the cooling"]
        known = f"this can: {', '.join(able)}" if able else "nothing at this site can"
        question = f"The {fixed[0]} cannot be kept off; {known}. What is meant?"
        return Wish(questions=(question,))
    text = context.text[clause.start : clause.end]
    off = tuple(
        KeepOff(point=p, hard=not soft, window=when.window, text=text) for p in points.values() if p
    )
    return Wish(constraints=off, assets=assets, questions=when.questions, notes=notes)


def parse_only(clause: Clause, context: Context) -> Wish | None:
    """Run the heat pump only at night; use the battery only when the price is above 0.40.

    It stands still except in that time; a condition that follows turns around too.
    """
    if not clause.has(K.ONLY) or clause.has(
        K.NOT, K.NUMBER, K.RANGE, K.STARTS, K.QUANTITY, K.OFF, K.CHARGE, K.DISCHARGE, K.IMPORT,
        K.EXPORT, K.HEAT, K.COOL,
    ):  # fmt: skip
        return None
    assets = named_assets(clause.take(K.SUBJECT, K.SIGNAL))
    points = [_switch(context.site, a) for a in assets]
    if not points or not all(points):
        return None
    clause.take(K.ONLY, K.USE, K.HARD)
    when = clause.when()
    text = context.text[clause.start : clause.end]
    kept = () if when == When() else (condensed(when.window, context.now),)
    window = Window(exceptions=kept)
    off = tuple(KeepOff(point=p, window=window, text=text) for p in points if p)
    ask = () if kept else (f"When is “{text.strip()}” to hold?",)
    return Wish(
        constraints=off, assets=assets, inverted=not kept, questions=(*when.questions, *ask),
        notes=when.notes,
    )  # fmt: skip


def _side_off(clause: Clause, context: Context, points: tuple[str, ...]) -> Wish:
    """Don't cool before noon; no heating in the south rooms; an air unit off."""
    clause.take(K.SUBJECT, K.SIGNAL, K.OFF, K.NOT, K.USE, K.HARD, K.OR, K.HEAT, K.COOL, K.RUN_TIME)
    soft = bool(clause.take(K.SOFT)) or any(i.value == "soft" for i in clause.all(K.NOT))
    when, notes = _once(clause, context.now)
    text = context.text[clause.start : clause.end]
    if not clause.has(K.HEAT, K.COOL):  # units that stand still, one after the other
        order = list(dict.fromkeys(p.split(".", 1)[0] for p in points))
        points = tuple(sorted(points, key=lambda p: order.index(p.split(".", 1)[0])))
    off = tuple(KeepOff(point=p, hard=not soft, window=when.window, text=text) for p in points)
    zones = tuple(dict.fromkeys(p.split(".", 1)[0] for p in points))
    return Wish(constraints=off, assets=zones, questions=when.questions, notes=notes)


def _switch(site: Site, asset: str) -> str | None:
    """The setpoint by which an asset stands still: a power that may be 0."""
    for spec in site.signals:
        still = spec.unit == "kW" or kind_of(site, asset) == "equipment"
        if spec.asset == asset and spec.role is Role.SETPOINT and still:
            return spec.id if spec.minimum <= 0 <= spec.maximum else None
    return None


def _once(clause: Clause, now: Now) -> tuple[When, tuple[str, ...]]:
    """Bare hours of a standstill are those to come; with `every day` they come back daily."""
    when = clause.when()
    daily = bool(clause.take(K.PER_DAY)) or when.every
    if when.at:
        ask = "A standstill has a beginning and an end: from when until when?"
        return replace(when, questions=(*when.questions, ask)), when.notes
    if daily or not when.daily or when.start or when.end or when.days:
        return when, when.notes
    start, end = next_hours(when.daily, now)
    text = f"{when.daily[0]} to {when.daily[1]}"
    note = f"{text} is read as the next such hours only; write every day if they come back"
    return When(start=start, end=end, questions=when.questions), (*when.notes, note)


def _no_flow(clause: Clause, context: Context) -> Wish | None:
    """Don't export, don't discharge: a bound of 0 on the power in that direction."""
    ways = {i.kind for i in clause.all(K.IMPORT, K.EXPORT, K.CHARGE, K.DISCHARGE)}
    if len(ways) != 1:
        return None
    way = next(iter(ways))
    kind = "grid_connection" if way in (K.IMPORT, K.EXPORT) else "battery"
    named = named_assets(clause.all(K.SUBJECT, K.SIGNAL))
    assets = named or tuple(a.id for a in context.site.of_kind(kind))
    if len(assets) != 1 or kind_of(context.site, assets[0]) != kind:
        return None
    soft = bool(clause.take(K.SOFT)) or any(i.value == "soft" for i in clause.all(K.NOT))
    clause.take(way, K.NOT, K.SUBJECT, K.SIGNAL, K.HARD, K.USE)
    if clause.has(K.PER_DAY):
        clause.take(K.PER_DAY)
    when = clause.when()
    inward = way in (K.IMPORT, K.CHARGE)
    band: Constraint = Band(
        signals=(f"{assets[0]}.power_kw",),
        minimum=None if inward else 0.0,
        maximum=0.0 if inward else None,
        unit="kW",
        hard=not soft,
        chance=0.95 if soft else None,
        window=when.window,
        text=context.text[clause.start : clause.end],
    )
    return Wish(constraints=(band,), assets=assets, questions=when.questions, notes=when.notes)
