"""`spec`: what a user asks for. Bounds and defaults are those of the CRD, which the API server enforces."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from agora_transcription.api.base import Model

__all__ = [
    "AgoraApi",
    "Bot",
    "Captions",
    "Channel",
    "DeletionPolicy",
    "Encryption",
    "EncryptionMode",
    "RestartPolicy",
    "Rollover",
    "SecretRef",
    "Storage",
    "StorageVendor",
    "TaskSpec",
    "Translation",
    "TranslationPair",
    "UidLanguages",
]

Channel = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9 !#$%&()+\-:;<=.>?@\[\]^_{|}~,]+$")]
"""A channel's name, as Agora allows it."""

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}-[A-Z]{2}(-[a-z]+)?$", max_length=16)]
"""A language code, shape-checked only: Agora's list grows with each of its releases."""

Uid = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,9}$", max_length=10)]
"""A numeric user id of the channel, 1 to 4294967295, as a string."""

Speakers = Annotated[
    tuple[Annotated[str, Field(pattern=r"^([1-9][0-9]{0,9}|all)$", max_length=10)], ...],
    Field(min_length=1, max_length=32),
]
"""Numeric user ids of the channel, or `all` alone."""

AgoraApi = Literal["V6", "V7"]

_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""What Kubernetes allows in the name of a Secret (RFC 1123)."""


class RestartPolicy(StrEnum):
    """What follows when an Agora task ended by itself."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class Rollover(StrEnum):
    """How a task is renewed before its RTC token or its lifetime ends."""

    REPLACE = "Replace"
    """Leave, then join: a gap of seconds, never two tasks."""
    OVERLAP = "Overlap"
    """Join a second one, then leave the first: no gap, two tasks billed for seconds."""


class DeletionPolicy(StrEnum):
    """What becomes of the Agora task when the object is deleted."""

    DELETE = "Delete"
    ORPHAN = "Orphan"


class StorageVendor(StrEnum):
    """Where captions can be stored."""

    AMAZON_S3 = "AmazonS3"
    ALIBABA_CLOUD = "AlibabaCloud"
    TENCENT_CLOUD = "TencentCloud"
    AZURE_BLOB = "AzureBlob"
    GOOGLE_CLOUD = "GoogleCloud"
    HUAWEI_CLOUD = "HuaweiCloud"
    BAIDU_CLOUD = "BaiduCloud"
    S3_COMPATIBLE = "S3Compatible"


class EncryptionMode(StrEnum):
    """The channel encryptions that Agora's SDKs offer, under their names there."""

    AES_128_XTS = "AES_128_XTS"
    AES_128_ECB = "AES_128_ECB"
    AES_256_XTS = "AES_256_XTS"
    SM4_128_ECB = "SM4_128_ECB"
    AES_128_GCM = "AES_128_GCM"
    AES_256_GCM = "AES_256_GCM"
    AES_128_GCM2 = "AES_128_GCM2"
    AES_256_GCM2 = "AES_256_GCM2"


class SecretRef(Model):
    """A Secret of the task's own namespace."""

    name: Annotated[str, Field(pattern=_SUBDOMAIN, min_length=1, max_length=253)]


class UidLanguages(Model):
    """The languages of one speaker."""

    uid: Uid
    languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=4)]


class TranslationPair(Model):
    """One spoken language and those it is translated into."""

    source: Language
    targets: Annotated[tuple[Language, ...], Field(min_length=1, max_length=10)]


class Translation(Model):
    """What is translated into what."""

    enabled: bool = True
    languages: Annotated[tuple[TranslationPair, ...], Field(min_length=1, max_length=4)]


class Storage(Model):
    """Where Agora uploads the captions."""

    vendor: StorageVendor
    region: Annotated[int, Field(ge=0, le=1000)]
    bucket: Annotated[str, Field(min_length=1, max_length=255)]
    file_name_prefix: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$", max_length=128)], ...], Field(max_length=16)
    ] = ()
    credentials_secret_ref: SecretRef
    """Keys: accessKey, secretKey."""
    endpoint: Annotated[str, Field(pattern=r"^https?://[^/\s]\S*$", max_length=1024)] | None = None


class Captions(Model):
    """How captions are sent and stored."""

    format: Literal["Protobuf", "Json"] = "Protobuf"
    slice_duration_seconds: Annotated[int, Field(ge=5, le=28800)] = 60
    storage: Storage | None = None


class Encryption(Model):
    """The channel's encryption."""

    mode: EncryptionMode
    secret_ref: SecretRef
    """Keys: secret, and salt for the GCM2 modes."""


class Bot(Model):
    """The user ids under which Agora joins the channel."""

    uid: Uid | None = None
    subscriber_uid: Uid | None = None


class TaskSpec(Model):
    """What a user asks for; `docs/reference.md` describes each field."""

    channel: Channel
    languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=4)]
    subscribe_audio_uids: Speakers | None = None
    unsubscribe_audio_uids: Annotated[tuple[Uid, ...], Field(min_length=1, max_length=5)] | None = None
    uid_languages: Annotated[tuple[UidLanguages, ...], Field(max_length=5)] = ()
    translation: Translation | None = None
    keywords: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], Field(max_length=500)] = ()
    idle_timeout_seconds: Annotated[int, Field(ge=0, le=2592000)] = 60
    captions: Captions = Captions()
    encryption: Encryption | None = None
    bot: Bot = Bot()
    credentials_secret_ref: SecretRef = SecretRef(name="agora-credentials")
    agora_api: AgoraApi | None = None
    suspend: bool = False
    restart_policy: RestartPolicy = RestartPolicy.ON_FAILURE
    rollover: Rollover = Rollover.REPLACE
    active_deadline_seconds: Annotated[int, Field(ge=1, le=2147483647)] | None = None
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=2147483647)] | None = None
    deletion_policy: DeletionPolicy = DeletionPolicy.DELETE
