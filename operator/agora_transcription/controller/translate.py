"""From the resource's terms to Agora's: what a spec asks of the API. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agora_transcription.agora import models as agora
from agora_transcription.agora.models import Dialect, Field
from agora_transcription.api import Applied, TaskSpec, Translation

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

    Mint = Callable[[str], SecretStr | None]

__all__ = [
    "Credentials",
    "StorageKeys",
    "account_hash",
    "bot_uid",
    "changed_fields",
    "instance_name",
    "live_settings",
    "settings_of",
    "start_hash",
    "start_request",
    "subscriber_uid",
    "unsupported",
]

STORAGE_VENDORS: Final = {
    "AmazonS3": 1,
    "AlibabaCloud": 2,
    "TencentCloud": 3,
    "AzureBlob": 5,
    "GoogleCloud": 6,
    "HuaweiCloud": 7,
    "BaiduCloud": 8,
    "S3Compatible": 11,
}
"""Agora's numbers, from the field `captionConfig.storage.vendor` of its join and start pages."""

ENCRYPTION_MODES: Final = {
    "AES_128_XTS": 1,
    "AES_128_ECB": 2,
    "AES_256_XTS": 3,
    "SM4_128_ECB": 4,
    "AES_128_GCM": 5,
    "AES_256_GCM": 6,
    "AES_128_GCM2": 7,
    "AES_256_GCM2": 8,
}
"""Agora's numbers, from the field `rtcConfig.cryptionMode`."""

V6_STORAGE_VENDORS: Final = {"AmazonS3", "AzureBlob", "GoogleCloud"}
V6_TRANSLATION_TARGETS: Final = 5
V6_IDLE_SECONDS: Final = range(5, 2592000 + 1)
V7_IDLE_SECONDS: Final = range(259200 + 1)

RESTART_FIELDS: Final = (
    "channel",
    "unsubscribe_audio_uids",
    "keywords",
    "idle_timeout_seconds",
    "captions",
    "encryption",
    "bot",
)
"""What a running task cannot be told: a change means another task. Neither API's update has a field for them."""


@dataclass(frozen=True, slots=True)
class StorageKeys:
    """What `captions.storage.credentialsSecretRef` holds."""

    access_key: SecretStr
    secret_key: SecretStr


@dataclass(frozen=True, slots=True)
class Credentials:
    """Everything that the Secrets of a task hold.

    Attributes:
        account: The Agora project and the customer that may control it.
        storage: For uploading captions; None where the spec stores none.
        encryption: The channel's mode, key and salt; None for a channel without.
        notification_secret: What Agora signs its notifications with; None to take none. No call depends on it.
        fingerprint: A digest that changes when anything does that a call depends on, and from which nothing can be
            read.
    """

    account: agora.Account
    storage: StorageKeys | None = None
    encryption: agora.Encryption | None = None
    notification_secret: SecretStr | None = None
    fingerprint: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the digest once: every decision asks for it."""
        secrets = [self.account.fingerprint]
        if self.storage is not None:
            secrets += [self.storage.access_key.get_secret_value(), self.storage.secret_key.get_secret_value()]
        if self.encryption is not None:
            salt = self.encryption.salt
            secrets += [self.encryption.secret.get_secret_value(), salt.get_secret_value() if salt else ""]
        object.__setattr__(self, "fingerprint", hashlib.sha256("\0".join(secrets).encode()).hexdigest())


def account_hash(account: agora.Account) -> str:
    """A digest of the App ID: a task can only be reached in the project that it was started in."""
    return hashlib.sha256(account.app_id.lower().encode()).hexdigest()[:16]


def instance_name(uid: str, attempt: int) -> str:
    """The name of an object's nth task, by which Agora tells a repeated start from a new one; at most 64 characters."""
    return f"tt-{uid}-{attempt}"


def bot_uid(spec: TaskSpec, uid: str, attempt: int) -> str:
    """The user id of the bot: the spec's, or one that differs between objects and between the tasks of an object.

    A task may still be leaving the channel when the next one joins, and a channel has one user per id.
    """
    return spec.bot.uid or _derived_uid(uid, attempt, "bot")


def subscriber_uid(spec: TaskSpec, uid: str, attempt: int, dialect: Dialect) -> str | None:
    """The user id of the second bot, which V6 needs and V7 has only where it is asked for."""
    if spec.bot.subscriber_uid is None and dialect is Dialect.V6:
        return _derived_uid(uid, attempt, "subscriber")
    return spec.bot.subscriber_uid


def settings_of(spec: TaskSpec) -> Applied:
    """The part of a spec that can be changed on a running task."""
    return Applied(
        languages=spec.languages,
        subscribe_audio_uids=spec.subscribe_audio_uids,
        uid_languages=spec.uid_languages,
        translation=spec.translation,
    )


def changed_fields(applied: Applied, wanted: Applied) -> frozenset[Field]:
    """What an update would have to replace; the order of languages and of speakers means nothing."""
    pairs = {
        Field.LANGUAGES: (frozenset(applied.languages), frozenset(wanted.languages)),
        Field.SUBSCRIBE_AUDIO_UIDS: (_speakers(applied), _speakers(wanted)),
        Field.UID_LANGUAGES: (_by_uid(applied), _by_uid(wanted)),
        Field.TRANSLATION: (_translated(applied.translation), _translated(wanted.translation)),
    }
    return frozenset(field for field, (before, after) in pairs.items() if before != after)


def live_settings(wanted: Applied, applied: Applied | None = None) -> agora.LiveSettings:
    """Put settings in Agora's terms.

    Args:
        wanted: What the spec asks for.
        applied: What the task has. A translation that the spec no longer has is switched off with the languages that
            it had: Agora's update wants them either way.
    """
    translation = wanted.translation
    if translation is None and applied is not None and applied.translation is not None:
        translation = Translation(enabled=False, languages=applied.translation.languages)
    speakers = _speakers(wanted)
    return agora.LiveSettings(
        languages=wanted.languages,
        subscribe_audio_uids=None if speakers is None else wanted.subscribe_audio_uids,
        uid_languages=tuple(agora.UidLanguages(entry.uid, entry.languages) for entry in wanted.uid_languages),
        translation=None
        if translation is None
        else agora.Translation(
            translation.enabled,
            tuple(agora.TranslationPair(pair.source, pair.targets) for pair in translation.languages),
        ),
    )


def start_hash(spec: TaskSpec) -> str:
    """A digest of what only a restart can change.

    Defaults are left out, so that a field added by a later version does not restart the tasks that never set it.
    """
    settings = spec.model_dump(mode="json", by_alias=True, include=set(RESTART_FIELDS), exclude_defaults=True)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def start_request(
    spec: TaskSpec, credentials: Credentials, *, uid: str, attempt: int, dialect: Dialect, mint: Mint
) -> agora.StartRequest:
    """Everything that the nth task of an object is started with.

    Args:
        spec: The object's.
        credentials: The content of its Secrets.
        uid: The object's uid.
        attempt: Which task of the object it is, 0 for the first.
        dialect: The API: V6 has a second bot.
        mint: Makes the RTC token of a bot from its user id; None for a project without a certificate.
    """
    bot, subscriber = bot_uid(spec, uid, attempt), subscriber_uid(spec, uid, attempt, dialect)
    storage = spec.captions.storage
    return agora.StartRequest(
        name=instance_name(uid, attempt),
        channel=spec.channel,
        settings=live_settings(settings_of(spec)),
        idle_timeout_seconds=spec.idle_timeout_seconds,
        bot_uid=bot,
        bot_token=mint(bot),
        subscriber_uid=subscriber,
        subscriber_token=None if subscriber is None else mint(subscriber),
        unsubscribe_audio_uids=spec.unsubscribe_audio_uids or (),
        keywords=spec.keywords,
        captions=agora.Captions(
            json_protocol=spec.captions.format == "Json",
            slice_seconds=spec.captions.slice_duration_seconds,
            storage=None
            if storage is None or credentials.storage is None
            else agora.Storage(
                vendor=STORAGE_VENDORS[storage.vendor],
                region=storage.region,
                bucket=storage.bucket,
                access_key=credentials.storage.access_key,
                secret_key=credentials.storage.secret_key,
                file_name_prefix=storage.file_name_prefix,
                endpoint=storage.endpoint,
            ),
        ),
        encryption=credentials.encryption,
    )


def unsupported(spec: TaskSpec, dialect: Dialect) -> str | None:
    """What of a spec the API does not have, and what to do about it; None if all is well.

    The CRD refuses the same where `spec.agoraApi` is given; this is for objects that take the operator's default.
    """
    idle = V6_IDLE_SECONDS if dialect is Dialect.V6 else V7_IDLE_SECONDS
    if spec.idle_timeout_seconds not in idle:
        return f"spec.idleTimeoutSeconds must be {idle.start} to {idle.stop - 1} with Agora's {dialect} API"
    if dialect is Dialect.V7:
        return None
    if spec.keywords:
        return "spec.keywords must be removed, or spec.agoraApi be V7: Agora's V6 API has no keywords"
    if spec.translation and any(len(pair.targets) > V6_TRANSLATION_TARGETS for pair in spec.translation.languages):
        return "spec.translation.languages[].targets must be at most 5 with Agora's V6 API"
    if spec.translation and any(pair.source in pair.targets for pair in spec.translation.languages):
        return "spec.translation.languages[].targets must differ from their source with Agora's V6 API"
    storage = spec.captions.storage
    if storage and storage.vendor not in V6_STORAGE_VENDORS:
        return (
            f"spec.captions.storage.vendor must be one of {', '.join(sorted(V6_STORAGE_VENDORS))} with Agora's V6 API"
        )
    return None


def _derived_uid(uid: str, attempt: int, role: str) -> str:
    digest = hashlib.sha256(f"{uid}/{attempt}/{role}".encode()).digest()
    # 31 bits: some SDKs hold a channel's user ids as signed integers.
    return str(int.from_bytes(digest[:4]) % (2**31 - 1) + 1)


def _speakers(settings: Applied) -> frozenset[str] | None:
    if settings.subscribe_audio_uids in {None, ("all",)}:
        return None
    return frozenset(settings.subscribe_audio_uids or ())


def _by_uid(settings: Applied) -> dict[str, frozenset[str]]:
    return {entry.uid: frozenset(entry.languages) for entry in settings.uid_languages}


def _translated(translation: Translation | None) -> dict[str, frozenset[str]] | None:
    """What is translated into what; None where nothing is, for whichever reason."""
    if translation is None or not translation.enabled:
        return None
    merged: dict[str, frozenset[str]] = {}
    for pair in translation.languages:
        merged[pair.source] = merged.get(pair.source, frozenset()) | frozenset(pair.targets)
    return merged
