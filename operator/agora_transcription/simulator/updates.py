"""Updates of a running task: the query string, the body, and whether the two say the same.

Sources: the "Update service" guide and the reference pages "Update" (v6.x, v7.x). A masked field is replaced as a
whole; the rest is left alone.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote_plus

from pydantic import model_validator

from agora_transcription.simulator.answers import Refused
from agora_transcription.simulator.fields import (
    Body,
    Languages,
    Pair,
    Pairs,
    Speakers,
    UidLanguagesConfig,
    V6Pairs,
    check_pairs,
    check_speakers,
)
from agora_transcription.simulator.tasks import Change, Dialect, State, Task

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "UpdateBody",
    "V6UpdateBody",
    "changed_settings",
    "due_change",
    "parse_query",
]

SPACING: Final = 5
"""Seconds between a start or an update and the next update ("Update service")."""

MASKABLE: Final = (
    "languages",
    "uidLanguagesConfig",
    "rtcConfig.subscribeAudioUids",
    "translateConfig.enable",
    "translateConfig.languages",
)
"""What a mask may name."""

MAX_SEQUENCE_ID: Final = 2**63 - 1


class _Rtc(Body):
    subscribe_audio_uids: Speakers

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_speakers(self.subscribe_audio_uids, None)
        return self


class _Translation(Body):
    enable: bool
    languages: Pairs | None = None


class _V6Translation(Body):
    enable: bool
    languages: V6Pairs


class UpdateBody(Body):
    """v7: the body of update."""

    languages: Languages | None = None
    uid_languages_config: UidLanguagesConfig | None = None
    rtc_config: _Rtc | None = None
    translate_config: _Translation | None = None


class V6UpdateBody(Body):
    """v6: the body of update, whose translateConfig always holds the languages."""

    languages: Languages | None = None
    uid_languages_config: UidLanguagesConfig | None = None
    rtc_config: _Rtc | None = None
    translate_config: _V6Translation | None = None


def parse_query(raw: str, allowed: frozenset[str]) -> dict[str, str]:
    """Split a query string, stricter than servers do.

    Raises:
        ValueError: When a parameter is unknown, or there twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, raw.split("&")):
        name, _, value = part.partition("=")
        if name not in allowed:
            raise ValueError(f"{name[:64]}: unknown query parameter")
        if name in found:
            raise ValueError(f"{name}: given twice")
        found[name] = value if name == "updateMask" else unquote_plus(value)
    return found


def due_change(task: Task, found: Mapping[str, str], now: float) -> Change:
    """Read `sequenceId` and `updateMask`, the latter as it was sent: its commas must not be encoded.

    Args:
        task: The one to be changed, not ended.
        found: The query parameters.
        now: Unix seconds.

    Raises:
        ValueError: When either parameter is missing or malformed, or the sequence does not rise.
        Refused: When the task cannot be changed now.
    """
    if task.state is not State.RUNNING:
        raise Refused(400, "another operation is already in progress", reason="InvalidRequest")
    change = Change(now, _sequence_id(found.get("sequenceId", "")), _mask(found.get("updateMask", "")))
    if task.sequence_id is not None and change.sequence_id <= task.sequence_id:
        raise ValueError("sequenceId: must be greater than that of the last update")
    if now < task.changed_at + SPACING:
        raise Refused(400, f"updates must be at least {SPACING} seconds after the start and after each other")
    return change


def changed_settings(
    settings: Mapping[str, Any], mask: tuple[str, ...], body: UpdateBody | V6UpdateBody
) -> dict[str, Any]:
    """What a task's settings are after an update.

    Raises:
        ValueError: When mask and body differ, or the settings would contradict themselves.
    """
    sent = _leaves(body.model_dump(by_alias=True, exclude_none=True))
    for field in mask:
        if field not in sent:
            raise ValueError(f"{field}: in the updateMask, but not in the body")
    for field in sent:
        if field not in mask:
            raise ValueError(f"{field}: in the body, but not in the updateMask")
    changed = copy.deepcopy(dict(settings))
    for field, value in sent.items():
        outer, _, inner = field.partition(".")
        if inner:
            changed.setdefault(outer, {})[inner] = value
        else:
            changed[outer] = value
    _check_whole(changed, Dialect.V7 if isinstance(body, UpdateBody) else Dialect.V6)
    return changed


def _sequence_id(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > MAX_SEQUENCE_ID:
        raise ValueError("sequenceId: required, an integer of at least 0")
    return int(text)


def _mask(text: str) -> tuple[str, ...]:
    if not text:
        raise ValueError("updateMask: required")
    if "%" in text:
        raise ValueError("updateMask: must be sent as it is, with bare commas")
    fields = tuple(text.split(","))
    for field in fields:
        if field not in MASKABLE:
            raise ValueError(f"updateMask: unknown field {field[:64]}")
    if len(set(fields)) < len(fields):
        raise ValueError("updateMask: a field is given twice")
    return fields


def _leaves(body: Mapping[str, Any]) -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, dict):
            leaves.update({f"{name}.{inner}": part for inner, part in value.items()})
        else:
            leaves[name] = value
    return leaves


def _check_whole(settings: Mapping[str, Any], dialect: Dialect) -> None:
    rtc, translation = settings["rtcConfig"], settings.get("translateConfig")
    check_speakers(rtc.get("subscribeAudioUids"), rtc.get("unSubscribeAudioUids"))
    if translation and translation["enable"]:
        if not translation.get("languages"):
            raise ValueError("translateConfig.languages: required to turn translation on")
        pairs = [Pair.model_validate(pair) for pair in translation["languages"]]
        check_pairs(pairs, mixed=dialect is Dialect.V7 and len(settings["languages"]) > 1)
