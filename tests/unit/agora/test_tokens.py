"""RTC tokens against published vectors, and decoded by an implementation of their layouts that is not Agora's."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
import sys
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from agora_transcription.agora import Account, MalformedCredentialError, TokenVersion, mint_rtc_token

APP_ID = "0123456789abcdef0123456789abcdef"
CERTIFICATE = "fedcba9876543210fedcba9876543210"
ISSUED = datetime.fromtimestamp(1700000000, UTC)
PUBLISHER = (1, 2, 3, 4)


@dataclass
class Reader:
    """Reads the little-endian numbers and strings that both layouts are made of."""

    data: bytes

    def number(self, layout: str) -> int:
        size = struct.calcsize(layout)
        head, self.data = self.data[:size], self.data[size:]
        return cast("int", struct.unpack("<" + layout, head)[0])

    def string(self) -> bytes:
        size = self.number("H")
        head, self.data = self.data[:size], self.data[size:]
        assert len(head) == size
        return head

    def privileges(self) -> dict[int, int]:
        return {self.number("H"): self.number("I") for _ in range(self.number("H"))}


@dataclass
class Decoded:
    """What a token says; times are absolute."""

    app_id: str
    channel: str
    uid: str
    expiry: int
    privileges: dict[int, int]


def sign(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()


def decode_007(token: str, certificate: str) -> Decoded:
    assert token.startswith("007")
    reader = Reader(zlib.decompress(base64.b64decode(token[3:], validate=True)))
    signature, info = reader.string(), reader.data
    app_id, issued, expire, salt = reader.string(), reader.number("I"), reader.number("I"), reader.number("I")
    assert (reader.number("H"), reader.number("H")) == (1, 1)  # one service: RTC
    privileges = reader.privileges()
    channel, uid = reader.string(), reader.string()
    assert reader.data == b""
    key = sign(struct.pack("<I", salt), sign(struct.pack("<I", issued), certificate.encode()))
    assert signature == sign(key, info)
    return Decoded(
        app_id.decode(),
        channel.decode(),
        uid.decode(),
        issued + expire,
        {privilege: issued + seconds for privilege, seconds in privileges.items()},
    )


def decode_006(token: str, certificate: str, channel: str, uid: str) -> Decoded:
    """A 006 token holds checksums of channel and uid: they can be confirmed, not read."""
    assert token.startswith("006")
    app_id = token[3:35]
    reader = Reader(base64.b64decode(token[35:], validate=True))
    signature, channel_sum, uid_sum, message = reader.string(), reader.number("I"), reader.number("I"), reader.string()
    assert reader.data == b""
    assert signature == sign(certificate.encode(), app_id.encode() + channel.encode() + uid.encode() + message)
    assert (channel_sum, uid_sum) == (binascii.crc32(channel.encode()), binascii.crc32(uid.encode()))
    inner = Reader(message)
    inner.number("I")  # salt
    expiry = inner.number("I")
    return Decoded(app_id, channel, uid, expiry, inner.privileges())


@pytest.fixture
def account() -> Account:
    return Account(APP_ID, "demo-customer", SecretStr("demo-secret"), SecretStr(CERTIFICATE))


@pytest.fixture
def _fixed_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The vectors' salt, in the places where the two packages draw it; their clocks are not read."""
    salt = SimpleNamespace(SystemRandom=lambda: SimpleNamespace(randint=lambda _low, _high: 12345))
    monkeypatch.setattr(sys.modules["agora_token_builder.AccessToken"], "secrets", salt)
    monkeypatch.setattr(sys.modules["agoraiotools.AccessToken2"], "secrets", salt)


VECTOR_007 = (
    "007eJxTYLgXd0/57bOb8xIu17kcTQ7bOE3jgIbZ3vjPv9MnLHzs3TlBgcHA0MjYxNTM3MIyMSk5JTUNnc/wMThVgI+BwdKAgYERCFmAGMRnApPMYJIF"
    "THIypKTm5usW5efnsjAYGhgYAgBFJSKL"
)
VECTOR_007_INFO = (
    "2000303132333435363738396162636465663031323334353637383961626364656600f15365100e000039300000010001000400010010"
    "0e00000200100e00000300100e00000400100e0000090064656d6f2d726f6f6d040031303031"
)
VECTOR_007_SIGNATURE = "de5ede23ede6d99e60d37e44c56356b19628c02836bd5ff3fb6790a1e34b8990"
VECTOR_006 = (
    "0060123456789abcdef0123456789abcdefIABAzLic58P+SB04A7K9LEiiX7MWib8AH6dT7m2zRyZCYkGfxAaBkyDDIgA5MAAAgEJVZQQAAQAQ/1NlAgAQ"
    "/1NlAwAQ/1NlBAAQ/1Nl"
)


@pytest.mark.usefixtures("_fixed_salt")
def test_version_007_matches_the_vector(account: Account) -> None:
    token = mint_rtc_token(account, "demo-room", "1001", lifetime_seconds=3600, now=ISSUED)
    assert token is not None
    content = zlib.decompress(base64.b64decode(token.get_secret_value()[3:]))
    # Builds of zlib compress differently: the content is what has to be the same.
    assert content == zlib.decompress(base64.b64decode(VECTOR_007[3:]))
    assert content == bytes.fromhex("2000" + VECTOR_007_SIGNATURE + VECTOR_007_INFO)


@pytest.mark.usefixtures("_fixed_salt")
def test_version_006_matches_the_vector(account: Account) -> None:
    token = mint_rtc_token(account, "demo-room", "1001", version=TokenVersion.V006, lifetime_seconds=3600, now=ISSUED)
    assert token is not None
    assert token.get_secret_value() == VECTOR_006


channels = st.text(min_size=1, max_size=64).filter(lambda text: text.isprintable())
hex_ids = st.text("0123456789abcdefABCDEF", min_size=32, max_size=32)


@given(
    app_id=hex_ids,
    certificate=hex_ids,
    channel=channels,
    uid=st.integers(1, 2**32 - 1).map(str),
    lifetime=st.integers(1, 86400),
    issued=st.integers(1_600_000_000, 4_000_000_000),
)
def test_version_007_says_what_was_asked(
    app_id: str, certificate: str, channel: str, uid: str, lifetime: int, issued: int
) -> None:
    account = Account(app_id, "id", SecretStr("secret"), SecretStr(certificate))
    now = datetime.fromtimestamp(issued, UTC)
    token = mint_rtc_token(account, channel, uid, lifetime_seconds=lifetime, now=now)
    assert token is not None
    expiry = issued + lifetime
    assert decode_007(token.get_secret_value(), certificate) == Decoded(
        app_id, channel, uid, expiry, dict.fromkeys(PUBLISHER, expiry)
    )


@given(
    app_id=hex_ids,
    certificate=hex_ids,
    channel=channels,
    uid=st.integers(1, 2**32 - 1).map(str),
    lifetime=st.integers(1, 86400),
    issued=st.integers(1_600_000_000, 4_000_000_000),
)
def test_version_006_says_what_was_asked(
    app_id: str, certificate: str, channel: str, uid: str, lifetime: int, issued: int
) -> None:
    account = Account(app_id, "id", SecretStr("secret"), SecretStr(certificate))
    now = datetime.fromtimestamp(issued, UTC)
    token = mint_rtc_token(account, channel, uid, version=TokenVersion.V006, lifetime_seconds=lifetime, now=now)
    assert token is not None
    # The outer time is a day from the issue, as in every package of Agora's: the privileges end before.
    assert decode_006(token.get_secret_value(), certificate, channel, uid) == Decoded(
        app_id, channel, uid, issued + 86400, dict.fromkeys(PUBLISHER, issued + lifetime)
    )


@pytest.mark.parametrize("version", TokenVersion)
@pytest.mark.parametrize(("publishes", "privileges"), [(True, PUBLISHER), (False, (1,))])
def test_who_may_not_publish_may_join_and_no_more(
    account: Account, version: TokenVersion, privileges: tuple[int, ...], *, publishes: bool
) -> None:
    token = mint_rtc_token(account, "demo-room", "1001", publishes=publishes, version=version, now=ISSUED)
    assert token is not None
    value = token.get_secret_value()
    if version is TokenVersion.V007:
        decoded = decode_007(value, CERTIFICATE)
    else:
        decoded = decode_006(value, CERTIFICATE, "demo-room", "1001")
    assert tuple(decoded.privileges) == privileges


def test_without_a_certificate_there_is_no_token(account: Account) -> None:
    assert mint_rtc_token(replace(account, app_certificate=None), "room", "1", now=ISSUED) is None


BAD_IDS = ["", "0" * 31, "0" * 33, "g" * 32, "0" * 31 + "\n", "0" * 32 + "\n", " " + "0" * 31, "٠" * 32]  # noqa: RUF001 - digits that are not ASCII


@pytest.mark.parametrize("value", BAD_IDS)
@pytest.mark.parametrize("version", TokenVersion)
def test_a_malformed_app_id_names_the_key_of_the_secret(account: Account, version: TokenVersion, value: str) -> None:
    with pytest.raises(MalformedCredentialError, match=r"^appId is not 32 hexadecimal digits$") as raised:
        mint_rtc_token(replace(account, app_id=value), "room", "1", version=version, now=ISSUED)
    assert raised.value.key == "appId"


@pytest.mark.parametrize("value", BAD_IDS)
@pytest.mark.parametrize("version", TokenVersion)
def test_a_malformed_certificate_is_named_and_not_shown(account: Account, version: TokenVersion, value: str) -> None:
    with pytest.raises(MalformedCredentialError, match=r"^appCertificate is not 32 hexadecimal digits$") as raised:
        mint_rtc_token(replace(account, app_certificate=SecretStr(value)), "room", "1", version=version, now=ISSUED)
    assert raised.value.key == "appCertificate"


@pytest.mark.parametrize("lifetime", [0, -1, 86401])
def test_a_lifetime_that_agora_does_not_honour_is_refused(account: Account, lifetime: int) -> None:
    with pytest.raises(ValueError, match="1 to 86400 s"):
        mint_rtc_token(account, "room", "1", lifetime_seconds=lifetime, now=ISSUED)


def test_an_empty_token_is_an_error(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["agoraiotools.AccessToken2"].AccessToken, "build", lambda _self: "")
    with pytest.raises(ValueError, match="no 007 token"):
        mint_rtc_token(account, "room", "1", now=ISSUED)
