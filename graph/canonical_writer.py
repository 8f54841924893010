"""RFC 8785 (JCS) text of a JSON value, fast enough for documents of hundreds of kilobytes.

Python's `repr`, pydantic's writer and ECMAScript's `ToString` print the same shortest digits of a
double and differ in layout only (`1.0`/`1`, `1e-07`/`1e-7`, `1e-05`/`0.00001`), so lists of
numbers are written by pydantic's compiled code and mended where the layout differs.
Source: RFC 8785, sections 3.2.2 and 3.2.3; ECMA-262, Number::toString.
"""

from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring as _plain_quote
from typing import Any

from pydantic_core import to_json

try:
    from _json import encode_basestring as _quote  # the same in C; escapes exactly as RFC 8785
except ImportError:  # pragma: no cover - interpreters without the C part
    _quote = _plain_quote

MAX_INTEGER = 2**53 - 1  # beyond it a double no longer holds every integer (I-JSON)
_NUMBERS = ({float}, {int}, {float, int})


def canonical_text(value: Any) -> str:
    """The canonical text of a JSON value.

    Raises:
        ValueError: NaN, infinity, an integer beyond 2**53 - 1, or a key that is not a string.
        TypeError: a type that JSON has not.
        RecursionError: nested deeper than the interpreter can follow.
    """
    return _text(value)


def object_text(members: Mapping[str, str]) -> str:
    """The canonical object whose members' texts are canonical already (keys in ASCII)."""
    return f"{{{','.join(f'{_quote(key)}:{members[key]}' for key in sorted(members))}}}"


def _text(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return _quote(value)
    if kind is dict:
        return _object(value)
    if kind is list or kind is tuple:
        return _array(value)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if kind is float:
        return _float(value)
    if kind is int:
        return _integer(value)
    return _subclass(value)


def _object(value: Mapping[str, Any]) -> str:
    members = [f"{_quote(key)}:{_text(value[key])}" for key in _sorted_keys(value)]
    return f"{{{','.join(members)}}}"


def _sorted_keys(keys: Iterable[str]) -> list[str]:
    """RFC 8785 sorts by UTF-16 code units; below U+D800 that is Python's own order."""
    try:
        if "".join(keys).isascii():
            return sorted(keys)
        return sorted(keys, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    except TypeError as error:
        raise ValueError(f"a key is not a string: {error}") from error


def _array(value: Sequence[Any]) -> str:
    if set(map(type, value)) in _NUMBERS:
        return _number_array(value)
    return f"[{','.join([_text(item) for item in value])}]"


def _number_array(numbers: Sequence[float]) -> str:
    text = to_json(numbers).decode("ascii")[1:-1] + ","
    if "e" in text or "N" in text or "I" in text:  # an exponent, NaN or Infinity among them
        return f"[{','.join([_integer(x) if isinstance(x, int) else _float(x) for x in numbers])}]"
    if max(numbers) > MAX_INTEGER or min(numbers) < -MAX_INTEGER:
        for x in numbers:
            if isinstance(x, int):
                _integer(x)
    # What is left to mend is the layout of whole numbers: 5.0 is 5, and -0.0 is 0.
    return f"[{text.replace('.0,', ',').replace('-0,', '0,')[:-1]}]"


def _subclass(value: Any) -> str:
    """Subclasses of the JSON types (enumerations, NumPy's float64) as what they inherit."""
    if isinstance(value, str):
        return _quote(str.__str__(value))
    if isinstance(value, float):
        return _float(float(value))
    if isinstance(value, int):
        return _integer(int(value))
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, (list, tuple)):
        return _array(value)
    raise TypeError(f"JSON has no {type(value).__name__}")


def _integer(value: int) -> str:
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise ValueError(f"{value} is beyond the integers that a JSON number holds exactly")
    return repr(value)


def _float(value: float) -> str:
    """ECMAScript's layout of the shortest digits that `repr` finds."""
    text = repr(value)
    if "e" not in text:
        if text.endswith(".0"):
            return "0" if value == 0 else text[:-2]
        if "n" in text:
            raise ValueError(f"{text} is not a JSON number")
        return text
    mantissa, exponent_text = text.split("e")
    sign = "-" if mantissa[0] == "-" else ""
    digits = mantissa.lstrip("-").replace(".", "")
    exponent = int(exponent_text)
    if 0 < exponent < 21:
        return sign + digits + "0" * (exponent + 1 - len(digits))
    if -7 < exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    return f"{mantissa}e{exponent:+d}"
