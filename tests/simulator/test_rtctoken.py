"""RTC tokens: what is admitted, and that nothing else is."""

from __future__ import annotations

import base64
import time
import warnings
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from agora_token_builder import RtcTokenBuilder as RtcTokenBuilder006
from agora_token_builder.RtcTokenBuilder import Role_Publisher, Role_Subscriber
from hypothesis import given
from hypothesis import strategies as st

from agora_transcription.simulator.rtctoken import InvalidToken, verify

with warnings.catch_warnings():
    # The package imports deprecated modules of its own.
    warnings.simplefilter("ignore", DeprecationWarning)
    from agoraiotools import RtcTokenBuilder2

if TYPE_CHECKING:
    from simulator.conftest import Mint

APP_ID = "0123456789abcdef0123456789abcdef"
CERTIFICATE = "fedcba9876543210fedcba9876543210"
ISSUED = 1_700_000_000

# Published by nobody: computed once from the layouts, for channel demo-room, uid 1001, publisher, salt 12345.
VECTOR_007 = (
    "007eJxTYLgXd0/57bOb8xIu17kcTQ7bOE3jgIbZ3vjPv9MnLHzs3TlBgcHA0MjYxNTM3MIyMSk5JTUNnc/wMThVgI+BwdKAgYERCFmAGMRnApPM"
    "YJIFTHIypKTm5usW5efnsjAYGhgYAgBFJSKL"
)
VECTOR_006 = (
    "0060123456789abcdef0123456789abcdefIABAzLic58P+SB04A7K9LEiiX7MWib8AH6dT7m2zRyZCYkGfxAaBkyDDIgA5MAAAgEJVZQQAAQAQ/1NlAg"
    "AQ/1NlAwAQ/1NlBAAQ/1Nl"
)
VECTORS = [VECTOR_007, VECTOR_006]


def check(
    token: str,
    *,
    app_id: str = APP_ID,
    certificate: str = CERTIFICATE,
    channel: str = "demo-room",
    uid: str = "1001",
    now: float = ISSUED,
) -> float:
    return verify(token, app_id=app_id, certificate=certificate, channel=channel, uid=uid, now=now)


@pytest.mark.parametrize("token", VECTORS, ids=["007", "006"])
def test_known_tokens_are_admitted_until_they_expire(token: str) -> None:
    assert check(token) == ISSUED + 3600
    assert check(token, now=ISSUED + 3599) == ISSUED + 3600
    with pytest.raises(InvalidToken, match="has expired"):
        check(token, now=ISSUED + 3600)


@pytest.mark.parametrize("token", VECTORS, ids=["007", "006"])
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"app_id": "1" * 32}, "another App ID"),
        ({"certificate": "1" * 32}, "wrong signature"),
        ({"channel": "demo-room-2"}, "another channel"),
        ({"channel": ""}, "another channel"),
        ({"uid": "1002"}, "another uid"),
        ({"uid": "01001"}, "another uid"),
    ],
)
def test_known_tokens_are_for_one_bot_in_one_channel_of_one_project(
    token: str, wrong: dict[str, str], why: str
) -> None:
    with pytest.raises(InvalidToken, match=why):
        check(token, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("lifetime", [60, 86400])
def test_tokens_of_agoras_package_are_admitted(lifetime: int) -> None:
    before = int(time.time())
    token = RtcTokenBuilder2.build_token_with_uid(APP_ID, CERTIFICATE, "demo-room", 1001, 1, lifetime, lifetime)
    after = int(time.time())
    assert before + lifetime <= check(token, now=before) <= after + lifetime


@pytest.mark.parametrize("role", [Role_Publisher, Role_Subscriber])
def test_tokens_of_the_006_package_are_admitted(role: int) -> None:
    now = int(time.time())
    token = RtcTokenBuilder006.buildTokenWithUid(APP_ID, CERTIFICATE, "demo-room", 1001, role, now + 600)
    assert check(token, now=now) == now + 600


def test_lifetime_passed_as_a_date_makes_an_expired_006_token() -> None:
    token = RtcTokenBuilder006.buildTokenWithUid(APP_ID, CERTIFICATE, "demo-room", 1001, Role_Publisher, 3600)
    with pytest.raises(InvalidToken, match="has expired"):
        check(token, now=time.time())


def test_006_token_without_a_date_of_its_own_lasts_a_day() -> None:
    now = int(time.time())
    token = RtcTokenBuilder006.buildTokenWithUid(APP_ID, CERTIFICATE, "demo-room", 1001, Role_Publisher, 0)
    assert now + 86400 <= check(token, now=now) <= now + 86402


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"lifetime": 86401}, "more than 24 hours"),
        ({"lifetime": 0}, "has expired"),
        ({"privileges": ()}, "does not grant joining"),
        ({"privileges": ((2, 0), (3, 0))}, "does not grant joining"),
        ({"service": 2}, "not for the RTC service"),
        ({"appended": b"more"}, "malformed"),
    ],
)
def test_007_token_that_is_signed_but_wrong_is_refused(mint: Mint, change: dict[str, Any], why: str) -> None:
    token = replace(mint, **change).token()
    with pytest.raises(InvalidToken, match=why):
        check(token, channel="standup", now=mint.issued)


def test_bits_that_base64_drops_are_not_free_to_change(mint: Mint) -> None:
    token = next(token for salt in range(100) if (token := replace(mint, salt=salt).token()).endswith("="))
    check(token, channel="standup", now=mint.issued)
    stem = token.rstrip("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    tampered = stem[:-1] + alphabet[alphabet.index(stem[-1]) + 1] + token[len(stem) :]
    assert base64.b64decode(tampered[3:]) == base64.b64decode(token[3:])
    with pytest.raises(InvalidToken, match="malformed"):
        check(tampered, channel="standup", now=mint.issued)


def test_007_token_from_the_future_is_refused_beyond_a_clocks_skew(mint: Mint) -> None:
    check(mint.token(), channel="standup", now=mint.issued - 60)
    with pytest.raises(InvalidToken, match="not valid yet"):
        check(mint.token(), channel="standup", now=mint.issued - 61)


def test_right_to_join_may_end_before_the_token(mint: Mint) -> None:
    token = replace(mint, lifetime=3600, privileges=((1, 600), (2, 3600))).token()
    assert check(token, channel="standup", now=mint.issued) == mint.issued + 600


def test_006_token_for_more_than_a_day_is_refused() -> None:
    with pytest.raises(InvalidToken, match="more than 24 hours"):
        check(VECTOR_006, now=ISSUED - 120)


@pytest.mark.parametrize(
    "token", ["", "007", "006", "007!!!!", "005abc", VECTOR_007[:-4], VECTOR_006[:-4], VECTOR_007 + "AAAA", "007é"]
)
def test_malformed_tokens_are_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        check(token)


@given(st.text(max_size=300))
def test_text_that_is_no_token_is_refused_and_never_repeated(text: str) -> None:
    for version in ("006" + APP_ID, "007", ""):
        with pytest.raises(InvalidToken) as refused:
            check(version + text)
        assert len(str(refused.value)) < 60


@given(st.integers(0, len(VECTOR_006) - 1), st.sampled_from("ABCXYZabcxyz0189+/=-_ "))
def test_006_token_with_one_other_character_is_refused(position: int, character: str) -> None:
    tampered = VECTOR_006[:position] + character + VECTOR_006[position + 1 :]
    if tampered != VECTOR_006:
        with pytest.raises(InvalidToken):
            check(tampered)


@given(st.integers(0, 34 + 93 - 1), st.integers(1, 255))
def test_007_token_with_one_other_byte_is_refused(position: int, flip: int) -> None:
    content = bytearray(zlib.decompress(base64.b64decode(VECTOR_007[3:])))
    content[position] ^= flip
    with pytest.raises(InvalidToken):
        check("007" + base64.b64encode(zlib.compress(bytes(content))).decode())


@given(st.binary(min_size=1, max_size=40))
def test_007_token_with_something_appended_is_refused(appended: bytes) -> None:
    packed = base64.b64decode(VECTOR_007[3:])
    content = zlib.decompress(packed)
    for tampered in (packed + appended, zlib.compress(content + appended)):
        with pytest.raises(InvalidToken):
            check("007" + base64.b64encode(tampered).decode())
