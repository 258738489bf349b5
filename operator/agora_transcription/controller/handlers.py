"""kopf as the informer: it watches, re-lists and logs in; everything else happens behind the queue.

Only `on.event` is used: kopf's change handlers and daemons keep their state in annotations, cost several writes per
object, and run at least once where this operator needs exactly once.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import kopf

from agora_transcription.api import GROUP, PLURAL, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora_transcription.controller.intake import Intake

__all__ = ["Login", "make_registry", "make_settings"]

Login = Callable[[], Awaitable[kopf.AiohttpSession]]

WATCH_INACTIVITY_SECONDS = 70.0
"""A watch without even a bookmark for so long is taken for dead, and begun again."""

LONGEST_BACKOFF_SECONDS = 10.0
"""Pause between two tries to list or to watch while the API server is away: it is away for minutes in an upgrade."""


def make_registry(intake: Intake, login: Login) -> kopf.OperatorRegistry:
    """Register the two things that kopf does here: it logs in, and watches for the sake of a handler.

    The handler gets only what `watch.py` has left to kopf.
    """
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:  # noqa: ANN401 - kopf's calling convention
        return await login()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def changed(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - kopf's calling convention
        intake.told(event)

    return registry


def make_settings() -> kopf.OperatorSettings:
    """Make kopf's settings; each with its reason here or above."""
    settings = kopf.OperatorSettings()
    settings.watching.inactivity_timeout = WATCH_INACTIVITY_SECONDS
    settings.watching.chunk_size = 500
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = _Patience()  # kopf's own end after 54 s, and the process with them
    settings.scanning.disabled = True  # the kinds are known: no watch on CRDs and namespaces, and no rights for it
    settings.posting.enabled = False  # events are posted through the store
    settings.peering.standalone = True
    return settings


class _Patience:
    """Pauses between tries that never come to an end; each use begins with the short ones."""

    def __iter__(self) -> Iterator[float]:
        yield from (1.0, 1.0, 2.0, 3.0, 5.0, 8.0)
        while True:
            yield LONGEST_BACKOFF_SECONDS * random.uniform(0.8, 1.0)  # noqa: S311 - no secret
