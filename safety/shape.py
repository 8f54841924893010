"""Parse untrusted JSON values into records; say in one line what is wrong."""

from typing import Any, TypeVar

from pydantic import ValidationError

from graph.errors import IntegrityError
from graph.record import Record

T = TypeVar("T", bound=Record)


def parse_shape(model: type[T], value: Any, what: str) -> T:
    """`value` as a `model`. Raises IntegrityError naming the first field that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise IntegrityError(f"{what} is malformed: {first_error(error, what)}") from error


def first_error(error: ValidationError, whole: str) -> str:
    """`field: reason` of the first error, `whole: reason` when it is about no single field."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or whole
    return f"{where}: {first['msg']}"
