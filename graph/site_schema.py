"""The site pack's schema: JSON Schema for editors, and pydantic's complaints in plain words."""

import difflib
import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from graph.errors import MisplacedError

Place = tuple[str | int, ...]


def site_json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `site.yaml`."""
    from graph.site import Site

    schema = Site.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def describe(root: type[BaseModel], problem: ErrorDetails) -> tuple[str, str, Place]:
    """Message, hint and place below the complaint's own, for one of pydantic's complaints."""
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, MisplacedError):
        return cause.message, cause.hint, cause.place
    kind, place = problem["type"], problem["loc"]
    if kind == "extra_forbidden":
        names = _fields_at(root, place[:-1])
        close = difflib.get_close_matches(str(place[-1]), names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(names)}"
        return f"unknown field {str(place[-1])!r}", hint, ()
    if kind == "missing":
        return "this field is missing", "add it", ()
    if kind == "union_tag_invalid":
        context = problem.get("ctx", {})
        return f"unknown kind {context['tag']!r}", f"expected {context['expected_tags']}", ("kind",)
    if kind == "union_tag_not_found":
        return "the kind is missing", "add `kind:`", ()
    message = problem["msg"].removeprefix("Value error, ")
    got = problem.get("input")
    if isinstance(got, (str, int, float, bool)) and not isinstance(cause, ValueError):
        return f"{got!r} is not valid here", f"expected: {_lower(message)}", ()
    return message, "", ()


def schema_place(loc: Sequence[str | int], document: Any) -> Place:
    """A complaint's place in the document: pydantic's path without the tags of unions.

    The last part may name a missing field; every other part exists in the document.
    """
    place: list[str | int] = []
    node = document
    for index, part in enumerate(loc):
        in_mapping = isinstance(node, dict) and part in node
        in_list = isinstance(node, list) and isinstance(part, int) and part < len(node)
        if in_mapping or in_list:
            node = node[part]
        elif index < len(loc) - 1 or not isinstance(node, dict):
            continue
        place.append(part)
    return tuple(place)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _fields_at(root: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Names of the fields that the record at `path` may have."""
    found: set[str] = set()
    for kind in _kinds_at(root, path):
        found.update(kind.model_fields)
    return sorted(found)


def _kinds_at(kind: Any, path: Sequence[str | int]) -> list[type[BaseModel]]:
    kinds = _models(kind)
    if not path:
        return kinds
    part, rest = path[0], path[1:]
    if isinstance(part, int):
        return _kinds_at(kind, rest)
    inner: list[type[BaseModel]] = []
    for model in kinds:
        if part in model.model_fields:
            inner += _kinds_at(model.model_fields[part].annotation, rest)
        elif part in _tags(model):
            inner += _kinds_at(model, rest)
    return inner


def _models(kind: Any) -> list[type[BaseModel]]:
    """The records inside an annotation: through tuples, unions, options and Annotated."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [kind]
    if get_origin(kind) in (tuple, list, dict, Union, types.UnionType, Annotated):
        return [m for inner in get_args(kind) for m in _models(inner)]
    return []


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()
