"""Request bodies into checked models, and what is wrong with them into Agora's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from agora_transcription.simulator.answers import MALFORMED, Incoming, Refused

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["check_no_body", "parse_body"]

Parsed = TypeVar("Parsed", bound=BaseModel)

REASONS = {"missing": "MissingRequiredField", "extra_forbidden": "InvalidRequestBody"}


def parse_body(incoming: Incoming, model: type[Parsed], *, prefix: str = "") -> Parsed:
    """Check a request's body.

    Args:
        incoming: The request.
        model: What the body has to be.
        prefix: What error texts begin with.

    Raises:
        Refused: With 400, the path of the first wrong field and what is wrong with it, but not its value.
    """
    media_type = incoming.content_type.partition(";")[0].strip().lower()
    if media_type != "application/json" or not isinstance(incoming.content, dict):
        raise Refused(400, f"{prefix}a JSON object is required", reason="InvalidRequestBody")
    null = _null_in(incoming.content)
    if null is not None:
        raise Refused(400, f"{prefix}{null}: must not be null")
    try:
        return model.model_validate(incoming.content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        reason = REASONS.get(first["type"], "InvalidFieldValue")
        # "from None": the validation error would carry the whole body, secrets included, into tracebacks.
        raise Refused(400, prefix + _text(first), reason=reason) from None


def check_no_body(incoming: Incoming) -> None:
    """Refuse a body where none is documented; an empty object does no harm.

    Raises:
        Refused: With 400.
    """
    if incoming.content is MALFORMED or incoming.content not in (None, {}):
        raise Refused(400, "no body is expected", reason="InvalidRequestBody", code=2)


def _text(error: ErrorDetails) -> str:
    path = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "unknown field"
    # Rules between fields name the field themselves.
    return message if message.startswith(path) else f"{path}: {message}"


def _null_in(value: Any, path: str = "") -> str | None:  # noqa: ANN401 - any JSON
    """The path of the first null."""
    if value is None:
        return path
    parts: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    for name, part in parts:
        found = _null_in(part, f"{path}.{name}".lstrip("."))
        if found is not None:
            return found
    return None
