"""Parse untrusted JSON values into records."""

from typing import Any, TypeVar

from pydantic import ValidationError

from graph.errors import IntegrityError, first_error
from graph.record import Record

T = TypeVar("T", bound=Record)


def parse_shape(model: type[T], value: Any, what: str) -> T:
    """`value` as a `model`. Raises IntegrityError naming the first field that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise IntegrityError(f"{what} is malformed: {first_error(error, what)}") from error
