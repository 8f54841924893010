"""The canonical writer is RFC 8785: equal to the reference implementation, and to the RFC."""

import math
import struct

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.canonical import canonical_bytes, canonical_loads, strict_loads
from graph.errors import IntegrityError

INTEGERS = st.integers(min_value=-(2**53) + 1, max_value=2**53 - 1)
# A double from 2**53 to 1e21 is written as an integer that no reader of ours takes back.
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: not 2**53 <= abs(x) < 1e21
)
NUMBERS = INTEGERS | FLOATS | st.integers(-400, 400).map(lambda k: float(k) / 4)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner | NUMBERS, max_size=6) | st.dictionaries(TEXT, inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS)
def test_every_document_is_written_as_the_reference_writes_it(document):
    data = canonical_bytes(document)
    assert data == rfc8785.dumps(document)
    assert canonical_bytes(canonical_loads(data)) == data


@settings(max_examples=800, deadline=None)
@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_every_double_is_written_as_the_reference_writes_it(bits):
    (value,) = struct.unpack("<d", struct.pack("<Q", bits))
    if not math.isfinite(value):
        return
    for document in (value, [value], [value, 0.5], [value, 3], {"x": value}):
        assert canonical_bytes(document) == rfc8785.dumps(document)


@pytest.mark.parametrize("exponent", range(-25, 26))
def test_layout_changes_at_the_exponents_of_the_standard(exponent):
    for digits in ("1", "-9", "1.5", "1.2345678901234567", "9.999999999999999"):
        value = float(f"{digits}e{exponent}")
        assert canonical_bytes([value]) == rfc8785.dumps([value])
        assert canonical_bytes([value, "s"]) == rfc8785.dumps([value, "s"])


def test_the_numbers_of_the_standard_s_appendix_b():
    given_bits = {
        0x0000000000000000: "0",
        0x8000000000000000: "0",
        0x0000000000000001: "5e-324",
        0x7FEFFFFFFFFFFFFF: "1.7976931348623157e+308",
        0x4340000000000000: "9007199254740992",
        0x44B52D02C7E14AF5: "9.999999999999997e+22",
        0x44B52D02C7E14AF6: "1e+23",
        0x444B1AE4D6E2EF4E: "999999999999999700000",
        0x444B1AE4D6E2EF50: "1e+21",
        0x3EB0C6F7A0B5ED8C: "9.999999999999997e-7",
        0x3EB0C6F7A0B5ED8D: "0.000001",
        0x41B3DE4355555555: "333333333.3333333",
        0xBECBF647612F3696: "-0.0000033333333333333333",
        0x43143FF3C1CB0959: "1424953923781206.2",
    }
    for bits, text in given_bits.items():
        (value,) = struct.unpack("<d", struct.pack("<Q", bits))
        assert canonical_bytes(value) == text.encode()


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, [1.0, -math.inf], 2**53, [-(2**53)], {1: 2}, {"a": {1}}, "\ud800", b"x"],
)
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(IntegrityError):
        canonical_bytes(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b"[1.0]",
        b"[1e2]",
        b"[-0]",
        b'["\\u0041"]',
        b'["\\/"]',
        b"[1]\n",
        b"[0.10]",
    ],
)
def test_other_spellings_of_a_document_are_refused(data):
    strict_loads(data)
    with pytest.raises(IntegrityError, match="not canonical"):
        canonical_loads(data)


@pytest.mark.parametrize(
    "data",
    [b'{"a":1,"a":1}', b"[NaN]", b"\xff", b"", b"[" * 5000, b"[" * 65 + b"]" * 65, b"9" * 5000],
)
def test_documents_that_two_readers_could_read_differently_are_refused(data):
    with pytest.raises(IntegrityError):
        strict_loads(data)
