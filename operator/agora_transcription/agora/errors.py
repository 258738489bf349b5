"""What can go wrong between the operator and Agora, sorted by what to do about it.

    AgoraError
    ├── NotSent            the request never reached Agora: repeat it
    │   └── NotPermitted         this process must not call Agora any more: it is about to end
    ├── Ambiguous          it may have had its effect: repeat it with the same name or token
    ├── Upstream           Agora answered with a fault of its own (5xx): as Ambiguous, after a back-off
    ├── Throttled          429: the whole account waits for `retry_after`
    ├── Busy               another operation is in progress on this task: repeat after at least 5 s
    ├── Gone               the task is unknown or has ended
    ├── Conflict           the start was made before: adopt `task_id`, or look for the task
    ├── TokenRefused       V6: this builderToken starts or names nothing: acquire a new one
    ├── NotSupported       the dialect, or this server, does not have the operation
    └── Refused            no repetition helps until somebody changes something
        ├── CredentialsRefused   customer id or secret: the Secret
        ├── ServiceNotEnabled    speech-to-text is off for the App ID: Agora's console
        ├── QuotaExceeded        too many tasks at once: stop some, or ask Agora for more
        └── RequestRefused       the request itself: the spec

Messages are made of Agora's own words, shortened, and never hold a token, a credential or a URL.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AgoraError",
    "Ambiguous",
    "Busy",
    "Conflict",
    "CredentialsRefused",
    "Gone",
    "NotPermitted",
    "NotSent",
    "NotSupported",
    "QuotaExceeded",
    "Refused",
    "RequestRefused",
    "ServiceNotEnabled",
    "Throttled",
    "TokenRefused",
    "Upstream",
]


class AgoraError(Exception):
    """Any failure of a call to Agora.

    Attributes:
        operation: `acquire`, `start`, `query`, `update`, `stop` or `list`.
        code: The HTTP status; None where no answer came, or nothing was sent.
        reason: Agora's machine-readable reason or code, as text; empty where it gave none.
        text: Agora's explanation, shortened to 200 characters; empty where it gave none.
    """

    _unanswered: ClassVar[str] = "not sent to Agora"

    def __init__(self, operation: str, *, code: int | None = None, reason: str = "", text: str = "") -> None:
        self.operation = operation
        self.code = code
        self.reason = reason
        self.text = text
        answered = f"Agora answered {code}" if code is not None else self._unanswered
        detail = ": ".join(part for part in (reason, text) if part)
        super().__init__(f"{operation}: {answered}" + (f" ({detail})" if detail else ""))


class NotSent(AgoraError):
    """The connection could not be made, so Agora cannot have acted."""

    _unanswered = "no connection to Agora"


class NotPermitted(NotSent):
    """The request was not to be made (`Permit`). It says nothing of Agora, and is no news for anybody."""

    _unanswered = "this process must not call Agora any more"


class Ambiguous(AgoraError):
    """The request was sent and no whole answer came: it may have had its effect."""

    _unanswered = "no answer from Agora"


class Upstream(AgoraError):
    """Agora failed (5xx, or an answer that is neither a success nor an explanation); the effect is unknown."""


class Throttled(AgoraError):
    """Agora asked for fewer requests.

    Attributes:
        retry_after: Seconds that Agora asked to wait; None where it named none.
    """

    def __init__(
        self,
        operation: str,
        *,
        code: int | None = 429,
        reason: str = "",
        text: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(operation, code=code, reason=reason, text=text)
        self.retry_after = retry_after


class Busy(AgoraError):
    """Another operation on the same task is in progress."""


class Gone(AgoraError):
    """Agora does not know the task, or it has ended.

    Attributes:
        confirmed: Agora's own words or code say so. A bare 404 can also be a proxy's that does not know the path.
    """

    def __init__(
        self,
        operation: str,
        *,
        code: int | None = 404,
        reason: str = "",
        text: str = "",
        confirmed: bool = True,
    ) -> None:
        super().__init__(operation, code=code, reason=reason, text=text)
        self.confirmed = confirmed


class Conflict(AgoraError):
    """A task with this name (V7) or of this builderToken (V6) has been started before.

    Attributes:
        task_id: The task that is there already; None where the answer does not name it.
    """

    def __init__(
        self,
        operation: str,
        *,
        code: int | None = 409,
        reason: str = "",
        text: str = "",
        task_id: str | None = None,
    ) -> None:
        super().__init__(operation, code=code, reason=reason, text=text)
        self.task_id = task_id


class TokenRefused(AgoraError):
    """The builderToken has expired unused, or does not belong to this App ID or task."""


class NotSupported(AgoraError):
    """The dialect or the server has no such operation."""


class Refused(AgoraError):
    """Agora will answer the same until somebody changes something."""


class CredentialsRefused(Refused):
    """Customer id and secret are not accepted for this App ID (401, 403)."""


class ServiceNotEnabled(Refused):
    """Real-time speech-to-text is not enabled for the App ID."""


class QuotaExceeded(Refused):
    """The account runs as many tasks as it may."""


class RequestRefused(Refused):
    """Agora finds the request itself wrong."""
