"""RTC tokens, with which Agora's bot joins the channel that it transcribes.

A token cannot be renewed on a running task (neither dialect's update takes one), so its expiry is the end of the task.
The layouts and signatures are those of Agora's two packages. Of these the parts are used, not the one-line builders:
those read the clock by themselves, that of `agoraiotools` (version 007) returns an empty token for malformed ids, and
that of `agora-token-builder` (version 006) takes its expiry as an absolute time, so that a lifetime passed by mistake
makes a token that expired in 1970.
"""

from __future__ import annotations

import re
import warnings
from datetime import UTC
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from agora_token_builder.AccessToken import (
    AccessToken,
    kJoinChannel,
    kPublishAudioStream,
    kPublishDataStream,
    kPublishVideoStream,
)
from pydantic import SecretStr

with warnings.catch_warnings():
    # The package imports its own deprecated dynamic keys, which nobody here asked for.
    warnings.simplefilter("ignore", DeprecationWarning)
    from agoraiotools.AccessToken2 import AccessToken2, ServiceRtc

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["MAX_LIFETIME_SECONDS", "MalformedCredentialError", "Project", "TokenVersion", "mint_rtc_token"]

MAX_LIFETIME_SECONDS = 86_400
"""The longest that Agora honours for either version ("Deploy a token server")."""

_HEX_ID = re.compile(r"[0-9a-fA-F]{32}")


class TokenVersion(StrEnum):
    """The layouts of Agora's RTC tokens."""

    V006 = "006"
    """AccessToken: for projects whose SDKs predate AccessToken2."""
    V007 = "007"
    """AccessToken2, the current one."""


class Project(Protocol):
    """What a token needs of an account."""

    @property
    def app_id(self) -> str:
        """32 hexadecimal digits."""

    @property
    def app_certificate(self) -> SecretStr | None:
        """32 hexadecimal digits; None for a project that has none enabled."""


class MalformedCredentialError(ValueError):
    """An App ID or certificate that cannot be one; the message names the Secret's key, never the value.

    Attributes:
        key: `appId` or `appCertificate`.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"{key} is not 32 hexadecimal digits")


def mint_rtc_token(  # noqa: PLR0913 - each is a part of the token
    project: Project,
    channel: str,
    uid: str,
    *,
    publishes: bool = True,
    version: TokenVersion = TokenVersion.V007,
    lifetime_seconds: int = MAX_LIFETIME_SECONDS,
    now: datetime,
) -> SecretStr | None:
    """Mint a token with which one user, or one bot, may join one channel.

    Args:
        project: The project; without a certificate it takes no tokens.
        channel: The channel's name.
        uid: The user's UID, 1 to 2^32-1 as a string.
        publishes: Whether it may send audio, video and data, or receive only.
        version: The token's layout.
        lifetime_seconds: 1 to 86400, from `now`.
        now: The time of issue, aware.

    Returns:
        The token; None for a project without a certificate.

    Raises:
        MalformedCredentialError: App ID or certificate are not 32 hexadecimal digits.
        ValueError: The lifetime is out of range, or the package made no token.
    """
    if project.app_certificate is None:
        return None
    certificate = project.app_certificate.get_secret_value()
    for key, value in (("appId", project.app_id), ("appCertificate", certificate)):
        if not _HEX_ID.fullmatch(value):
            raise MalformedCredentialError(key)
    if not 1 <= lifetime_seconds <= MAX_LIFETIME_SECONDS:
        raise ValueError(f"a token's lifetime is 1 to {MAX_LIFETIME_SECONDS} s, not {lifetime_seconds}")
    issued = int(now.astimezone(UTC).timestamp())
    build = _build_006 if version is TokenVersion.V006 else _build_007
    token = build(project.app_id, certificate, (channel, uid), (issued, lifetime_seconds), publishes=publishes)
    if not token:
        raise ValueError(f"no {version} token could be made for App ID and certificate")
    return SecretStr(token)


def _build_006(app_id: str, certificate: str, user: tuple[str, str], span: tuple[int, int], *, publishes: bool) -> str:
    """What the package's RtcTokenBuilder does; `user` has channel and UID, `span` time of issue and seconds from it."""
    issued, lifetime = span
    token = AccessToken(app_id, certificate, *user)
    token.ts = issued + MAX_LIFETIME_SECONDS
    publishing = (kPublishAudioStream, kPublishVideoStream, kPublishDataStream) if publishes else ()
    for privilege in (kJoinChannel, *publishing):
        token.addPrivilege(privilege, issued + lifetime)
    return str(token.build())


def _build_007(app_id: str, certificate: str, user: tuple[str, str], span: tuple[int, int], *, publishes: bool) -> str:
    """What the package's RtcTokenBuilder2 does, with the same arguments."""
    issued, lifetime = span
    service = ServiceRtc(*user)
    publishing = (
        service.kPrivilegePublishAudioStream,
        service.kPrivilegePublishVideoStream,
        service.kPrivilegePublishDataStream,
    )
    for privilege in (service.kPrivilegeJoinChannel, *(publishing if publishes else ())):
        service.add_privilege(privilege, lifetime)
    token = AccessToken2(app_id, certificate, issue_ts=issued, expire=lifetime)
    token.add_service(service)
    return str(token.build())
