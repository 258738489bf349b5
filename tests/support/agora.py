"""An Agora that answers from a script and remembers what it was asked."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx


class ScriptedAgora:
    """Answers in the order of the script and keeps every request."""

    def __init__(self) -> None:
        self.script: deque[httpx.Response | Exception] = deque()
        self.requests: list[httpx.Request] = []

    def answers(self, *responses: httpx.Response | Exception) -> None:
        self.script.extend(responses)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.script.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def request(self) -> httpx.Request:
        """The only request there was."""
        (request,) = self.requests
        return request
