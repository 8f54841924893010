"""Symbols of engineers and short names, resolved by the site: T_rooms, P_imp, SoC, h1, u2, N, west.

What a symbol stands for comes from the ids, labels and synonyms of the site; only the letters of
quantities (T, P, Q, E, h, u, SoC) and of the two directions of a flow are conventions.
"""

import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from graph.signals import Role
from graph.site import Site
from graph.units import same_dimension
from planner.intent.lexicon import K, Phrase, phrases
from planner.intent.vocabulary import site_phrases

_WORDS = {"t": "temperature", "temp": "temperature", "theta": "temperature", "p": "",
          "q": "heat output", "e": "energy", "soc": "soc", "sp": "setpoint", "v": "", "u": "",
          "h": "", "l": "", "level": ""}  # fmt: skip
_UNITS = {"h": "cm", "l": "cm", "u": "V", "v": "V", "t": "degC", "p": "kW"}
_FLOWS = {
    "import": "imp|import|imports|in|buy|from_grid|grid_imp|grid_import|imported",
    "export": "exp|export|exports|out|sell|feed|feedin|feed_in|grid_exp|grid_export|inj",
    "charge": "ch|chg|chr|charge|char|bat_ch|bat_chg|charging|batt_ch",
    "discharge": "dis|dch|disch|dchg|discharge|bat_dis|bat_dch|discharging|disc|batt_dis",
}
_FLOW_OF = {name: word for word, names in _FLOWS.items() for name in names.split("|")}
_OUTDOOR = ("out", "amb", "ext", "outdoor", "outside", "oa", "o", "a", "outdoors", "ambient")
_ROOMS = ("i", "z", "room", "rooms", "zone", "zones", "in", "indoor", "all", "zi", "space", "r")
_SIDES = {"heat": "heating", "htg": "heating", "heating": "heating", "h": "heating",
          "cool": "cooling", "clg": "cooling", "cooling": "cooling", "c": "cooling"}  # fmt: skip
_SETPOINT = ("sp", "set", "setpoint", "ref")
_SYMBOL = re.compile(r"([a-z]{1,5})_([a-z0-9_]{1,30})$")
_LETTER = re.compile(r"([a-z])_?(\d)$")


@dataclass(frozen=True)
class Symbols:
    """The short names of one site."""

    site: Site
    known: dict[Phrase, tuple[K, Any]]

    def words(self, name: str) -> str:
        """What a symbol such as t_rooms or h1 stands for, in words of the site; or empty."""
        if (name,) in self.known:
            return ""
        letter = _LETTER.fullmatch(name)
        if letter:
            return self._lettered(*letter.groups())
        local = [s.id for s in self.site.signals
                 if "_" in s.id and s.id.split(".")[1].split("_")[0] == name]  # fmt: skip
        if len(local) == 1 and name not in _grammar_words():
            return local[0]
        found = _SYMBOL.fullmatch(name)
        if found is None or found[1] not in _WORDS:
            return ""
        return self._subscripted(found[1], found[2])

    def _subscripted(self, quantity: str, name: str) -> str:
        if quantity in ("p", "e") and name in _FLOW_OF:
            flow = _FLOW_OF[name]
            return flow if quantity == "p" else f"{flow} energy"
        if quantity in ("t", "temp", "theta"):
            if name in _OUTDOOR:
                return "outdoor temperature"
            side, _, rest = name.partition("_")
            if side in _SIDES and (not rest or rest in _SETPOINT):
                return f"{_SIDES[side]} setpoint" if rest else ""
        head, _, last = name.rpartition("_")
        if last in _SETPOINT and head:
            inner = self.asset(head)
            return f"{inner} setpoint" if inner else ""
        asset = self.asset(name)
        return f"{asset} {_WORDS[quantity]}".strip() if asset else ""

    def asset(self, name: str) -> str:
        """An asset, or several of them, as words that the site knows; or empty."""
        if name in _ROOMS and self.site.of_kind("zone"):
            groups = {getattr(z, "group", "") for z in self.site.of_kind("zone")}
            return groups.pop() if len(groups) == 1 else "all zones"
        for phrase in ((name,), tuple(name.split("_"))):
            if self.known.get(phrase, (K.UNKNOWN, ()))[0] is K.SUBJECT:
                return " ".join(phrase)
        letter = _LETTER.fullmatch(name)
        if letter:
            return self._lettered(*letter.groups())
        if name in self.corners:
            return self.corners[name]
        starts = [a.id for a in self.site.assets if len(name) >= 3 and a.id.startswith(name)]
        return starts[0] if len(starts) == 1 else ""

    def _lettered(self, letter: str, digit: str) -> str:
        """P1: the one asset so numbered; else the signal of that quantity: h1, u1."""
        own = [
            a.id for a in self.site.assets
            if a.id.endswith(digit) and a.id.startswith(letter) and a.id[:-1].isalpha()
        ]  # fmt: skip
        if len(own) == 1:
            return own[0]
        unit = _UNITS.get(letter)
        if own or unit is None:
            return ""
        fitting = [s.id for s in self.site.signals
                   if s.asset.endswith(digit) and same_dimension(s.unit, unit)
                   and (s.role is Role.MEASUREMENT or unit == "V")]  # fmt: skip
        return fitting[0] if len(fitting) == 1 else ""

    def label(self, asset_id: str) -> str:
        """What to call an asset in a remark."""
        label = next((a.label for a in self.site.assets if a.id == asset_id), "")
        return label.lower() or asset_id

    @cached_property
    def corners(self) -> dict[str, str]:
        """The words that tell rooms apart (north) and their first letters, by the zone's id."""
        zones = [z.id for z in self.site.of_kind("zone")]
        words = {z.split("_", 1)[1]: z for z in zones if z.count("_") == 1}
        if len(words) != len(zones):
            return {}
        letters: dict[str, list[str]] = {}
        for word, zone in words.items():
            letters.setdefault(word[0], []).append(zone)
        short = {letter: ids[0] for letter, ids in letters.items() if len(ids) == 1}
        return words | short

    @cached_property
    def places(self) -> dict[str, str]:
        """The label's words of equipment without its noun: lower left, by the asset's id."""
        found: dict[str, list[str]] = {}
        for asset in self.site.assets:
            parts = asset.label.lower().split()
            if asset.kind == "equipment" and len(parts) == 3:
                found.setdefault(" ".join(parts[:2]), []).append(asset.id)
        return {words: ids[0] for words, ids in found.items() if len(ids) == 1}


@cache
def _grammar_words() -> frozenset[str]:
    return frozenset(word for phrase in phrases() for word in phrase)


def symbols_of(site: Site) -> Symbols:
    """The short names of a site."""
    return Symbols(site, dict(site_phrases(site)))
