"""Units in words, and numbers with them."""

from dataclasses import dataclass

from graph.errors import InputError
from graph.units import convert


@dataclass(frozen=True)
class Unit:
    """A unit as said. `name` is the registry's, or a currency's code, or "" when not said.

    `scale` multiplies the number (cents). "degree" means degrees of which the scale is not said.
    """

    name: str
    dimension: str
    scale: float = 1.0


NO_UNIT = Unit("", "none")

_TABLE: tuple[tuple[str, str, str], ...] = (
    (
        "degC",
        "temperature",
        "°c|° c|c|degc|celsius|degrees celsius|degree celsius|degrees c|"
        "degree c|deg c|deg celsius|° celsius",
    ),
    (
        "degF",
        "temperature",
        "°f|° f|f|degf|fahrenheit|degrees fahrenheit|degree fahrenheit|degrees f|degree f|deg f|"
        "deg fahrenheit",
    ),
    ("degree", "temperature", "°|degrees|degree|deg"),
    ("delta_degC", "difference", "k|kelvin|kelvins|degrees kelvin"),
    ("percent", "ratio", "%|percent|per cent|pct"),
    ("W", "power", "w|watt|watts"),
    ("kW", "power", "kw|kilowatt|kilowatts"),
    ("MW", "power", "mw|megawatt|megawatts"),
    ("Wh", "energy", "wh"),
    ("kWh", "energy", "kwh|kilowatt hour|kilowatt hours"),
    ("MWh", "energy", "mwh|megawatt hour|megawatt hours"),
    ("kg", "mass", "kg|kilo|kilos|kilogram|kilograms|kg of"),
    ("g", "mass", "g|gram|grams"),
    ("tonne", "mass", "t|tonne|tonnes"),
    ("mm", "length", "mm|millimetre|millimetres|millimeter|millimeters"),
    ("cm", "length", "cm|centimetre|centimetres|centimeter|centimeters"),
    ("V", "voltage", "v|volt|volts"),
    ("W/m2", "irradiance", "w / m2|w / m²|w per square metre|w / m ^ 2|w / sqm"),
    ("$", "money", "$|dollar|dollars|bucks"),
    ("EUR", "money", "€|eur|euro|euros"),
    ("GBP", "money", "£|gbp"),
    ("USD", "money", "usd|us dollars"),
    ("CHF", "money", "chf|francs"),
)
DOLLARS = ("USD", "CAD", "AUD", "NZD", "SGD", "HKD")

UNITS: dict[tuple[str, ...], Unit] = {
    tuple(word.split()): Unit(name, dimension)
    for name, dimension, words in _TABLE
    for word in words.split("|")
}
UNITS[("cents",)] = UNITS[("cent",)] = Unit("cent", "money", 0.01)

MONEY_SIGNS = {"$": "$", "€": "EUR", "£": "GBP"}


@dataclass(frozen=True)
class Amount:
    """One number or two, with a unit. `low` is `high` for a single number."""

    low: float
    high: float
    unit: Unit = NO_UNIT
    doubt: str = ""  # a question about the number itself


def currency_matches(unit: Unit, currency: str) -> bool:
    """Whether money said in `unit` is money of `currency`."""
    if unit.name == "$":
        return currency in DOLLARS
    if unit.name == "cent":
        return currency in (*DOLLARS, "EUR")
    return unit.name == currency


def to_unit(value: float, unit: Unit, target: str) -> float:
    """`value` said in `unit`, in the registry's `target`; to nine decimals, to shed the noise of
    the conversion (68 degF is 20 degC, not 20.000000000000057).

    Raises:
        InputError: the unit measures something else.
    """
    if unit.dimension == "none" or unit.name in ("degree", target):
        return value * unit.scale
    if unit.dimension == "money":
        raise InputError(f"{unit.name} cannot be expressed in {target}")
    return round(convert(value * unit.scale, unit.name, target), 9)
