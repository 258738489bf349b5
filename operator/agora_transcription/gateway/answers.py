"""What a call ends in, where it does not end well: a status and a line of plain text, as those clients expect it."""

from __future__ import annotations

__all__ = ["Refusal"]


class Refusal(Exception):
    """The answer is not a good one.

    Attributes:
        status: The HTTP status.
        text: For the caller; names no secret, no object and no address.
        retry_after: Seconds after which it is worth another try; None where that is not known.
    """

    def __init__(self, status: int, text: str, *, retry_after: float | None = None) -> None:
        self.status = status
        self.text = text
        self.retry_after = retry_after
        super().__init__(f"{status} {text}")
