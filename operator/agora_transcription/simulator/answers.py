"""What the simulator is asked, and what it answers or refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

__all__ = ["MALFORMED", "Answer", "Incoming", "Refused"]

MALFORMED: Final = object()
"""Stands for the content of a body that is no JSON."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request, as far as any operation needs it.

    Attributes:
        app_id: From the path.
        task_id: From the path; None for operations that are not about one task.
        query: The query string as it was sent.
        content: The parsed JSON body, None for an empty one, or `MALFORMED`.
        content_type: The header.
        authorization: The header.
    """

    app_id: str
    task_id: str | None
    query: str
    content: Any
    content_type: str
    authorization: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body: JSON, text as it is, or nothing."""

    status: int
    body: Any = None


class Refused(Exception):
    """A call that Agora would not do.

    Args:
        status: HTTP status.
        text: What is wrong; never contains a value of the request that may be secret.
        reason: v7's word for the kind of error.
        code: v6's number for it; None where its pages give a bare message.
    """

    def __init__(self, status: int, text: str, *, reason: str = "InvalidFieldValue", code: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.reason = reason
        self.code = code
