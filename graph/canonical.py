"""Canonical bytes and digests (RFC 8785), and a JSON reader that trusts nothing.

The standard reader keeps the last of two equal keys, so two readers of one document can see two
different values; `strict_loads` refuses such a document.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from graph.canonical_writer import canonical_text, object_text
from graph.errors import IntegrityError

MAX_DOCUMENT_BYTES = 32 * 1024 * 1024
_NOT_CANONICAL = "a re-formatted or altered file; ask for the original"
MAX_DEPTH = 64  # our deepest document nests 12; the interpreter's own limit is near 1000


def canonical_bytes(value: Any) -> bytes:
    """RFC 8785 bytes of a JSON value or a pydantic model.

    Raises:
        IntegrityError: NaN, infinity, an integer of 2**53 or more, or a type JSON has not.
    """
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    try:
        return canonical_text(value).encode("utf-8")
    except (ValueError, TypeError, RecursionError) as error:
        raise IntegrityError(f"the value has no canonical form: {error}") from error


def digest(value: Any) -> str:
    """`sha256:<hex>` of the canonical bytes of `value`."""
    return digest_bytes(canonical_bytes(value))


def digest_bytes(data: bytes) -> str:
    """`sha256:<hex>` of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _no_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise IntegrityError(f"the document has the key {twice!r} twice")
    return found


def _no_constant(name: str) -> Any:
    raise IntegrityError(f"the document holds {name}, which is not a JSON number")


def strict_loads(data: bytes, limit: int = MAX_DOCUMENT_BYTES) -> Any:
    """Parse JSON from outside: UTF-8, no duplicate keys, no NaN, bounded size and depth."""
    if len(data) > limit:
        raise IntegrityError(f"the document has {len(data)} bytes, more than the {limit} allowed")
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # ValueError: also integers of 4,300 digits
        raise IntegrityError(f"the document is not JSON in UTF-8: {error}") from error
    _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _containers(node)]
        if not level:
            return
    raise IntegrityError(f"the document nests deeper than {MAX_DEPTH}")


def _containers(node: dict[str, Any] | list[Any]) -> list[Any]:
    children = node.values() if type(node) is dict else node
    kinds = set(map(type, children))  # in C: most nodes hold numbers or texts only
    if dict not in kinds and list not in kinds:
        return []
    return [child for child in children if type(child) is dict or type(child) is list]


def canonical_loads(data: bytes) -> Any:
    """Parse JSON and demand that the bytes are the canonical ones, so no bit of them is free."""
    value = strict_loads(data)
    if canonical_bytes(value) != data:
        raise IntegrityError("the document's bytes are not canonical (RFC 8785)", _NOT_CANONICAL)
    return value


def canonical_members(data: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """`canonical_loads` of an object with ASCII keys, and the canonical text of each member."""
    value = strict_loads(data)
    if not isinstance(value, dict) or not "".join(value).isascii():
        raise IntegrityError("the document is not an object with plain keys")
    try:
        members = {key: canonical_text(item) for key, item in value.items()}
        same = object_text(members).encode("utf-8") == data
    except (ValueError, TypeError, RecursionError) as error:
        raise IntegrityError(f"the value has no canonical form: {error}") from error
    if not same:
        raise IntegrityError("the document's bytes are not canonical (RFC 8785)", _NOT_CANONICAL)
    return value, members
