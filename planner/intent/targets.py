"""What a bound speaks of: signals, found by name, attribute, unit and direction of flow."""

from graph.units import same_dimension
from planner.intent.clause import Clause
from planner.intent.lexicon import K
from planner.intent.quantities import Unit
from planner.intent.subjects import groups_with_temperature, kind_of, named_assets, signals_of
from planner.intent.wish import Context, quote


def find_target(clause: Clause, context: Context, unit: Unit) -> tuple[tuple[str, ...], int, str]:
    """Signals, the sign of the numbers (export and discharge count negative), and a question."""
    site = context.site
    subjects = clause.take(K.SUBJECT, K.SIGNAL)
    exact = tuple(i.value for i in subjects if i.kind is K.SIGNAL)
    assets = named_assets([i for i in subjects if i.kind is K.SUBJECT])
    flow = _flow(clause, context, assets, unit)
    if flow is not None and not exact:
        return flow
    attributes = {i.value for i in clause.take(K.ATTRIBUTE)}
    if exact:
        if assets or len({site.signal(s).unit for s in exact}) > 1:
            return (), 1, f"Which one is bounded in {quote(clause, context)}?"
        spec = site.signal(exact[0])
        _, question = signals_of(site, (spec.asset,), "", unit) if unit.name else ((), "")
        wrong = question and unit.name != "degree" and not _measures(spec.unit, unit)
        return (() if wrong else exact), 1, question if wrong else ""
    if len(attributes) > 1:
        return (), 1, f"Which one is bounded in {quote(clause, context)}?"
    attribute = next(iter(attributes), "")
    if not assets:
        pronoun = bool(subjects)
        assets, question = _inherited(clause, context, attribute, pronoun)
        if question:
            return (), 1, question
    signals, question = signals_of(site, assets, attribute, unit)
    if not question and _signed(site.signal(signals[0]).id, context):
        question = (
            f"Charging or discharging in {quote(clause, context)}? "
            "Write e.g. charge the battery with at most 10 kW."
        )
    return signals, 1, question


def _measures(unit: str, said: Unit) -> bool:
    return said.dimension in (
        "temperature",
        "difference",
        "ratio",
        "power",
        "length",
        "voltage",
    ) and same_dimension(unit, said.name)


def _signed(signal: str, context: Context) -> bool:
    asset, name = signal.split(".", 1)
    return name == "power_kw" and kind_of(context.site, asset) == "battery"


def _inherited(
    clause: Clause, context: Context, attribute: str, pronoun: bool
) -> tuple[tuple[str, ...], str]:
    if attribute == "soc" and len(context.site.of_kind("battery")) == 1:
        return (context.site.of_kind("battery")[0].id,), ""
    if attribute == "temp" and not pronoun:
        options = groups_with_temperature(context.site)
        return (), f"Which temperature is meant: {', '.join(options)}?"
    if context.last_assets:
        return context.last_assets, ""
    it = "“it”" if pronoun else "the number"
    return (
        (),
        f"In {quote(clause, context)}: what does {it} speak of, e.g. the rooms or the battery?",
    )


def antecedent(context: Context) -> tuple[str, ...]:
    """What `it` means: what was spoken of last; the rooms, where nothing was."""
    return context.last_assets or tuple(z.id for z in context.site.of_kind("zone"))


def _flow(
    clause: Clause, context: Context, assets: tuple[str, ...], unit: Unit
) -> tuple[tuple[str, ...], int, str] | None:
    """Import, export, charging and discharging, and the peak: power with a direction."""
    if unit.dimension not in ("power", "none"):
        if clause.has(K.CHARGE, K.DISCHARGE) and unit.dimension == "ratio":
            clause.take(K.CHARGE, K.DISCHARGE)  # "battery charge above 20 %": the noun
        return None
    ways = {i.kind for i in clause.all(K.IMPORT, K.EXPORT, K.CHARGE, K.DISCHARGE)}
    peak = [i for i in clause.all(K.QUANTITY) if i.value == "peak"]
    if len(ways) > 1 or (not ways and not peak) or (ways and peak):
        return None
    way = next(iter(ways), K.IMPORT)
    kind = "grid_connection" if way in (K.IMPORT, K.EXPORT) else "battery"
    found = assets or tuple(a.id for a in context.site.of_kind(kind))
    if unit.dimension == "none" and way in (K.CHARGE, K.DISCHARGE):
        return (), 1, f"{quote(clause, context)}: how much, in kW or in %?"
    if any(kind_of(context.site, a) != kind for a in found) or len(found) != 1:
        return None
    clause.take(K.IMPORT, K.EXPORT, K.CHARGE, K.DISCHARGE)
    if peak and len(clause.all(K.QUANTITY)) == 1:
        clause.take(K.QUANTITY)
    return (f"{found[0]}.power_kw",), -1 if way in (K.EXPORT, K.DISCHARGE) else 1, ""
