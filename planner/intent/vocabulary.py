"""The words of one site: what operators call its assets, groups and signals."""

from typing import Any

from graph.site import Site
from planner.intent.lexicon import K, Phrase

_KIND_WORDS = {
    "grid_connection": ("grid", "grid connection", "mains", "utility", "network", "public grid"),
    "pv": ("pv", "solar", "photovoltaics"),
    "battery": ("battery", "batteries"),
    "heat_pump": ("heat pump", "heatpump", "heat pumps"),
    "buffer_tank": ("tank", "buffer tank", "tanks"),
    "zone": ("zones", "all zones", "offices", "spaces", "indoors", "indoor", "inside", "room"),
    "air_unit": ("air units", "all air units", "hvac", "units", "heat pumps", "air handlers"),
    "weather": ("outdoor", "outdoors"),
}


def site_phrases(site: Site) -> dict[Phrase, tuple[K, Any]]:
    """Phrases of the site: assets by id, label, synonym, kind and group; signals by id and label.

    A phrase that names several assets stands for all of them.
    """
    found: dict[Phrase, tuple[K, Any]] = {}
    for spec in site.signals:
        found[(spec.id,)] = (K.SIGNAL, spec.id)
        if spec.label:
            found[words(spec.label)] = (K.SIGNAL, spec.id)
    assets: dict[Phrase, tuple[str, ...]] = {}
    for asset in site.assets:
        names = (asset.id, asset.id.replace("_", " "), asset.label, *asset.synonyms)
        group = getattr(asset, "group", "")
        for name in (
            *names,
            *_KIND_WORDS.get(asset.kind, ()),
            group,
            f"all {group}" if group else "",
        ):
            for phrase in _numbers_of(words(name)):
                if asset.id not in assets.setdefault(phrase, ()):
                    assets[phrase] = (*assets[phrase], asset.id)
    for name, ids in _equipment_groups(site).items():
        assets.setdefault(words(name), ids)
    # An id names its asset alone, whatever else shares the word.
    for asset in site.assets:
        assets[(asset.id,)] = (asset.id,)
    found.update({phrase: (K.SUBJECT, ids) for phrase, ids in assets.items() if phrase})
    return found


def _equipment_groups(site: Site) -> dict[str, tuple[str, ...]]:
    """Pumps, upper tanks: equipment of which the labels share a noun, or a word and the noun."""
    found: dict[str, list[str]] = {}
    for asset in site.of_kind("equipment"):
        parts = asset.label.lower().split()
        noun = parts[0] if parts[-1].isdigit() else parts[-1]
        for word in ("", *(p for p in parts[:-1] if p != noun)):
            found.setdefault(f"{word} {noun}s".strip(), []).append(asset.id)
    return {name: tuple(ids) for name, ids in found.items() if len(ids) > 1}


def words(name: str) -> Phrase:
    """A name as the tokenizer cuts it."""
    return tuple(name.lower().replace("-", " ").split())


def _numbers_of(phrase: Phrase) -> tuple[Phrase, ...]:
    """Singular and plural of a phrase (rooms, room)."""
    if not phrase:
        return ()
    last = phrase[-1]
    other = last[:-1] if last.endswith("s") else last + "s"
    return (phrase, (*phrase[:-1], other)) if len(other) > 2 else (phrase,)


def asset_name(site: Site, asset_id: str) -> str:
    """What to call an asset in a sentence: its label where that names it alone, else its id."""
    label = next((a.label for a in site.assets if a.id == asset_id), "")
    phrase = words(label)
    if phrase and site_phrases(site).get(phrase) == (K.SUBJECT, (asset_id,)):
        return " ".join(phrase)
    return asset_id
