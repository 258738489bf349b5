"""The values that requests are made of, with the limits that Agora's pages give them."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agora_transcription.simulator.languages import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ALL",
    "Body",
    "Channel",
    "Language",
    "Languages",
    "Name",
    "Pair",
    "Pairs",
    "Salt",
    "Speakers",
    "Text",
    "Uid",
    "UidLanguages",
    "UidLanguagesConfig",
    "V6Pair",
    "V6Pairs",
    "check_pairs",
    "check_speakers",
]

ALL: Final = "all"
"""Stands for every speaker, alone in its list."""

MAX_UID: Final = 2**32 - 1
SALT_BYTES: Final = 32
CHANNEL_PATTERN: Final = r"^[A-Za-z0-9 !#$%&()+\-:;<=.>?@\[\]^_{}|~,]{1,64}$"
"""The alphabet of channel names in Agora's RTC SDKs."""


class Body(BaseModel):
    """A part of a request body: camelCase, nothing unknown, no value turned into another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)


def _known(code: str) -> str:
    if code not in LANGUAGES:
        raise ValueError("unsupported language")
    return code


def _numeric(uid: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,9}", uid) or int(uid) > MAX_UID:
        raise ValueError("must be a number from 1 to 4294967295, as a string")
    return uid


def _speaker(uid: str) -> str:
    return uid if uid == ALL else _numeric(uid)


def _distinct(items: list[str]) -> list[str]:
    if len(set(items)) < len(items):
        raise ValueError("must not hold a value twice")
    return items


def _salt(text: str) -> str:
    try:
        size = len(base64.b64decode(text, validate=True))
    except binascii.Error:
        size = 0
    if size != SALT_BYTES:
        raise ValueError("must be base64 of 32 bytes")
    return text


Text = Annotated[str, Field(min_length=1, max_length=1024)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Channel = Annotated[str, Field(pattern=CHANNEL_PATTERN)]
Uid = Annotated[str, AfterValidator(_numeric)]
Salt = Annotated[str, AfterValidator(_salt)]
Language = Annotated[str, AfterValidator(_known)]
Languages = Annotated[list[Language], Field(min_length=1, max_length=4), AfterValidator(_distinct)]
Speakers = Annotated[
    list[Annotated[str, AfterValidator(_speaker)]], Field(min_length=1, max_length=32), AfterValidator(_distinct)
]


class UidLanguages(Body):
    """The languages of one speaker."""

    uid: Uid
    languages: Languages


def _one_per_uid(items: list[UidLanguages]) -> list[UidLanguages]:
    _distinct([item.uid for item in items])
    return items


UidLanguagesConfig = Annotated[list[UidLanguages], Field(max_length=5), AfterValidator(_one_per_uid)]


class Pair(Body):
    """A spoken language and what it is translated into; v7 takes 10 targets."""

    source: Language
    target: Annotated[list[Language], Field(min_length=1, max_length=10), AfterValidator(_distinct)]


class V6Pair(Pair):
    """v6 takes 5 targets."""

    target: Annotated[list[Language], Field(min_length=1, max_length=5), AfterValidator(_distinct)]


Pairs = Annotated[list[Pair], Field(min_length=1, max_length=4)]
V6Pairs = Annotated[list[V6Pair], Field(min_length=1, max_length=4)]


def check_pairs(pairs: Sequence[Pair], *, mixed: bool) -> None:
    """Hold the rules that no single pair shows.

    Args:
        pairs: What is translated into what.
        mixed: Whether a target may be its own source: on v7, in a task of several languages (7.2.2).

    Raises:
        ValueError: When a source is there twice, or a target is its own source.
    """
    if len({pair.source for pair in pairs}) < len(pairs):
        raise ValueError("translateConfig.languages: Duplicate source language")
    if not mixed and any(pair.source in pair.target for pair in pairs):
        raise ValueError("translateConfig.languages: the target language must differ from the source language")


def check_speakers(subscribed: Sequence[str] | None, unsubscribed: Sequence[str] | None) -> None:
    """Hold the rules between the two lists of speakers.

    Raises:
        ValueError: When "all" is not alone, or both lists are given.
    """
    if subscribed and ALL in subscribed and len(subscribed) > 1:
        raise ValueError('rtcConfig.subscribeAudioUids: "all" must stand alone')
    if subscribed and ALL not in subscribed and unsubscribed:
        raise ValueError("rtcConfig: subscribeAudioUids and unSubscribeAudioUids are mutually exclusive")
