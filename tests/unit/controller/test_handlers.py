"""How kopf is set up."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from agora_transcription.controller.handlers import LONGEST_BACKOFF_SECONDS, make_registry, make_settings
from unit.controller.builders import body_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    import kopf

    from agora_transcription.controller.intake import Intake


async def log_in() -> kopf.AiohttpSession:
    raise NotImplementedError


async def test_what_is_left_to_kopf_is_taken_in_too() -> None:
    told: list[kopf.RawEvent] = []
    registry = make_registry(cast("Intake", SimpleNamespace(told=told.append)), log_in)
    (handler,) = registry._watching.get_all_handlers()  # kopf has no other way to ask
    event: Any = {"type": None, "object": body_of()}
    await cast("Callable[..., Awaitable[None]]", handler.fn)(event=event, memo=None, patch=None)
    assert told == [event]


def test_the_api_server_may_be_away_for_long() -> None:
    """kopf ends the operator with the last of the pauses: there is none, and all are short."""
    pauses = list(islice(cast("Iterable[float]", make_settings().networking.error_backoffs), 500))
    assert sum(pauses) > 3600
    assert max(pauses) <= LONGEST_BACKOFF_SECONDS


def test_kopf_writes_nothing_and_scans_nothing() -> None:
    settings = make_settings()
    assert not settings.posting.enabled
    assert settings.scanning.disabled
