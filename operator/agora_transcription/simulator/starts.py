"""The bodies that start a task: v7's join, v6's acquire and start. A wrong or unknown field is an error.

Sources: Agora's reference pages "Join" (v7.x), "Acquire" and "Start" (v6.x). Where pages of Agora's contradict each
other, the reading that the examples use is taken: `accessKey` and `secretKey`, `extensionParams` at the top level.
Secrets are held as `SecretStr` and left out of every dump.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from agora_transcription.simulator.fields import (
    ALL,
    Body,
    Channel,
    Languages,
    Name,
    Pairs,
    Salt,
    Text,
    Uid,
    UidLanguagesConfig,
    V6Pairs,
    check_pairs,
    check_speakers,
)
from agora_transcription.simulator.fields import Speakers as SpeakerList

__all__ = ["AcquireBody", "JoinBody", "StartBody", "settings_of"]

GCM2_MODES = {7, 8}
S3_COMPATIBLE = 11

Secret = Annotated[SecretStr, Field(min_length=1)]
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]


class _Rtc(Body):
    """The channel, who joins it, and who is heard."""

    channel_name: Channel
    pub_bot_uid: Uid
    pub_bot_token: Secret | None = Field(None, exclude=True)
    sub_bot_uid: Uid | None = None
    sub_bot_token: Secret | None = Field(None, exclude=True)
    subscribe_audio_uids: SpeakerList | None = None
    un_subscribe_audio_uids: Annotated[list[Uid], Field(min_length=1, max_length=5)] | None = None
    cryption_mode: Annotated[int, Field(ge=0, le=8)] = 0
    secret: Secret | None = Field(None, exclude=True)
    salt: Salt | None = Field(None, exclude=True)
    enable_json_protocol: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_speakers(self.subscribe_audio_uids, self.un_subscribe_audio_uids)
        if (self.secret is not None) != (self.cryption_mode != 0):
            raise ValueError("rtcConfig.secret: belongs to a cryptionMode other than 0, which needs it")
        if (self.salt is not None) != (self.cryption_mode in GCM2_MODES):
            raise ValueError("rtcConfig.salt: belongs to the cryptionModes 7 and 8, which need it")
        if self.sub_bot_token is not None and self.sub_bot_uid is None:
            raise ValueError("rtcConfig.subBotToken: needs a subBotUid")
        return self

    def bots(self) -> dict[str, SecretStr | None]:
        """The users that join the channel, each with its token."""
        bots = {self.pub_bot_uid: self.pub_bot_token}
        if self.sub_bot_uid is not None and self.sub_bot_uid != self.pub_bot_uid:
            bots[self.sub_bot_uid] = self.sub_bot_token
        return bots


class _JoinRtc(_Rtc):
    @model_validator(mode="after")
    def _refuse_all(self) -> Self:
        if self.subscribe_audio_uids and ALL in self.subscribe_audio_uids:
            raise ValueError('rtcConfig.subscribeAudioUids: "all" is for updates; leave the field out to hear everyone')
        return self


class _StartRtc(_Rtc):
    sub_bot_uid: Uid = Field()

    @model_validator(mode="after")
    def _check_bots(self) -> Self:
        if self.sub_bot_uid == self.pub_bot_uid:
            raise ValueError("rtcConfig.subBotUid: must differ from pubBotUid")
        return self


class _Storage(Body):
    """Where captions are uploaded to."""

    access_key: Secret = Field(exclude=True)
    secret_key: Secret = Field(exclude=True)
    bucket: Text
    vendor: Literal[1, 2, 3, 5, 6, 7, 8, 11]
    region: Annotated[int, Field(ge=0)]
    file_name_prefix: list[FolderName] | None = None

    @model_validator(mode="after")
    def _check_prefix(self) -> Self:
        if len("/".join(self.file_name_prefix or ())) > 128:  # noqa: PLR2004 - the page's own number
            raise ValueError("captionConfig.storage.fileNamePrefix: must be at most 128 characters, slashes included")
        return self


class _StartStorage(_Storage):
    vendor: Literal[1, 5, 6]


class _Captions(Body):
    slice_duration: Annotated[int, Field(ge=5, le=28800)] = 60
    storage: _Storage | None = None


class _StartCaptions(Body):
    slice_duration: Annotated[int, Field(ge=5, le=28800)] = 60
    storage: _StartStorage


class _Extension(Body):
    """What storages of some vendors need beyond the common fields."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^/\s]+")] | None = None
    type: Literal["s3"] | None = None
    provider: Text | None = None
    region: Text | None = None
    tag: Text | None = None
    sse: Literal["aes256", "kms"] | None = None


class _JoinTranslation(Body):
    languages: Pairs


class _StartTranslation(Body):
    languages: V6Pairs


class _Start(Body):
    """What both dialects start a task with."""

    languages: Languages
    uid_languages_config: UidLanguagesConfig | None = None


class JoinBody(_Start):
    """v7: the body of join."""

    name: Name
    max_idle_time: Annotated[int, Field(ge=0, le=259200)] = 30
    keywords: Annotated[list[Text], Field(max_length=500)] | None = None
    rtc_config: _JoinRtc
    translate_config: _JoinTranslation | None = None
    caption_config: _Captions | None = None
    extension_params: _Extension | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.translate_config:
            check_pairs(self.translate_config.languages, mixed=len(self.languages) > 1)
        storage = self.caption_config.storage if self.caption_config else None
        endpoint = self.extension_params.endpoint if self.extension_params else None
        if self.extension_params and storage is None:
            raise ValueError("extensionParams: belongs to a captionConfig.storage")
        if (endpoint is not None) != (storage is not None and storage.vendor == S3_COMPATIBLE):
            raise ValueError("extensionParams.endpoint: belongs to storage vendor 11, which needs it")
        return self


class AcquireBody(Body):
    """v6: the body of acquire."""

    instance_id: Name


class StartBody(_Start):
    """v6: the body of start."""

    max_idle_time: Annotated[int, Field(ge=5, le=2592000)] = 30
    rtc_config: _StartRtc
    translate_config: _StartTranslation | None = None
    caption_config: _StartCaptions | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.translate_config:
            check_pairs(self.translate_config.languages, mixed=False)
        return self


def settings_of(body: JoinBody | StartBody) -> dict[str, Any]:
    """What a task is started with, in the request's own shape, without secrets; translation is on if it is there."""
    settings = body.model_dump(by_alias=True, exclude_none=True, exclude={"name"})
    if "translateConfig" in settings:
        settings["translateConfig"]["enable"] = True
    return settings
