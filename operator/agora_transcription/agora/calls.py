"""One request to Agora: the dialects describe it, the client sends it.

Between the two stands `Send`, so that a dialect is a translator that can be tested without a connection, and the
connection knows nothing of tasks. Paths and query strings are built here by hand, because Agora wants two things that
an HTTP library's own encoders do not do: ids escaped as one path segment each, and the commas of `updateMask` bare.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

if TYPE_CHECKING:
    from pydantic import SecretStr

    from agora_transcription.agora.models import Account, Dialect

__all__ = ["Call", "Operation", "Send", "path", "query"]

Operation = Literal["acquire", "start", "query", "update", "stop", "list"]
"""What is asked of Agora, in words that both dialects share: V7's join is a start and its leave a stop."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, complete but for the host and the credentials' header.

    Attributes:
        dialect: Whose endpoint it is, for metrics and for reading the answer.
        operation: What is asked.
        account: Whose credentials it carries.
        method: The HTTP method.
        path: Below the base URL, with a leading slash and escaped.
        query: The raw query string without the question mark; may hold a builderToken.
        body: Sent as JSON; None for no body. Holds RTC tokens in the clear.
        secrets: What this request holds besides the account's credentials and no message may repeat.
    """

    dialect: Dialect
    operation: Operation
    account: Account
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str = field(repr=False)
    query: str = field(default="", repr=False)
    body: Mapping[str, object] | None = field(default=None, repr=False)
    secrets: tuple[SecretStr, ...] = ()

    @property
    def confidential(self) -> tuple[SecretStr, ...]:
        """Every secret that an answer could echo."""
        certificate = self.account.app_certificate
        return (*self.secrets, self.account.customer_secret, *(() if certificate is None else (certificate,)))


Send = Callable[[Call], Awaitable[bytes]]
"""Sends a call and returns the body of a 200; raises an `AgoraError` for everything else."""


def path(*segments: str) -> str:
    """Join path segments, each escaped as a whole: an id with a slash in it stays one segment."""
    return "".join("/" + quote(segment, safe="") for segment in segments)


def query(**parameters: str | int) -> str:
    """Build a query string in the order given, its values escaped except for commas."""
    return "&".join(f"{name}={quote(str(value), safe=',')}" for name, value in parameters.items())
