"""The parts of a request that V6 and V7 spell alike.

V7's join took over V6's flat start body, and its update V6's PATCH, mask and all. Field names and limits are those of
the REST reference ("Start", "Join", "Update" pages); where two of Agora's pages contradict each other, the spelling of
its examples is used (`accessKey`). Defaults are left out: what is not sent cannot be refused by an older server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agora_transcription.agora.models import Field

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import SecretStr

    from agora_transcription.agora.models import (
        LiveSettings,
        StartRequest,
        Storage,
        Translation,
        TranslationPair,
        UidLanguages,
        Update,
    )

__all__ = ["common_body", "secrets_of", "update_body", "update_mask"]


def common_body(request: StartRequest) -> dict[str, object]:
    """What both dialects start a task with; all speakers are meant by naming none."""
    settings = request.settings
    body: dict[str, object] = {
        "languages": list(settings.languages),
        "maxIdleTime": request.idle_timeout_seconds,
        "rtcConfig": _rtc_config(request),
    }
    if settings.uid_languages:
        body["uidLanguagesConfig"] = _uid_languages(settings.uid_languages)
    if settings.translation is not None and settings.translation.enabled:
        body["translateConfig"] = {"languages": _pairs(settings.translation.languages)}
    if request.captions.storage is not None:
        body["captionConfig"] = {
            "sliceDuration": request.captions.slice_seconds,
            "storage": _storage(request.captions.storage),
        }
    return body


def update_mask(update: Update) -> str:
    """The mask of an update, comma-separated: each leaf of the body, which is replaced as a whole."""
    return ",".join(
        f"{name}.{inner}" if inner else name
        for name, value in update_body(update).items()
        for inner in (value if isinstance(value, dict) else ("",))
    )


def update_body(update: Update) -> dict[str, object]:
    """The body of an update: each changed field in full, and nothing else."""
    settings = update.settings
    body: dict[str, object] = {}
    if Field.LANGUAGES in update.fields:
        body["languages"] = list(settings.languages)
    if Field.SUBSCRIBE_AUDIO_UIDS in update.fields:
        body["rtcConfig"] = {"subscribeAudioUids": _subscribed(settings)}
    if Field.UID_LANGUAGES in update.fields:
        body["uidLanguagesConfig"] = _uid_languages(settings.uid_languages)
    if Field.TRANSLATION in update.fields:
        body["translateConfig"] = _translation(settings.translation)
    return body


def secrets_of(request: StartRequest) -> tuple[SecretStr, ...]:
    """Every secret that a start request holds."""
    storage, encryption = request.captions.storage, request.encryption
    possible = (
        request.bot_token,
        request.subscriber_token,
        *((storage.access_key, storage.secret_key) if storage is not None else ()),
        *((encryption.secret, encryption.salt) if encryption is not None else ()),
    )
    return tuple(secret for secret in possible if secret is not None)


def _rtc_config(request: StartRequest) -> dict[str, object]:
    config: dict[str, object] = {"channelName": request.channel, "pubBotUid": request.bot_uid}
    if request.bot_token is not None:
        config["pubBotToken"] = request.bot_token.get_secret_value()
    if request.subscriber_uid is not None:
        config["subBotUid"] = request.subscriber_uid
        if request.subscriber_token is not None:
            config["subBotToken"] = request.subscriber_token.get_secret_value()
    if request.settings.subscribe_audio_uids is not None:
        config["subscribeAudioUids"] = list(request.settings.subscribe_audio_uids)
    if request.unsubscribe_audio_uids:
        config["unSubscribeAudioUids"] = list(request.unsubscribe_audio_uids)
    if request.captions.json_protocol:
        config["enableJsonProtocol"] = True
    if request.encryption is not None:
        config["cryptionMode"] = request.encryption.mode
        config["secret"] = request.encryption.secret.get_secret_value()
        if request.encryption.salt is not None:
            config["salt"] = request.encryption.salt.get_secret_value()
    return config


def _storage(storage: Storage) -> dict[str, object]:
    body: dict[str, object] = {
        "vendor": storage.vendor,
        "region": storage.region,
        "bucket": storage.bucket,
        "accessKey": storage.access_key.get_secret_value(),
        "secretKey": storage.secret_key.get_secret_value(),
    }
    if storage.file_name_prefix:
        body["fileNamePrefix"] = list(storage.file_name_prefix)
    return body


def _subscribed(settings: LiveSettings) -> list[str]:
    """In an update all speakers have to be named, as `all`: leaving the field out would leave it as it is."""
    return ["all"] if settings.subscribe_audio_uids is None else list(settings.subscribe_audio_uids)


def _uid_languages(items: Iterable[UidLanguages]) -> list[dict[str, object]]:
    return [{"uid": item.uid, "languages": list(item.languages)} for item in items]


def _translation(translation: Translation | None) -> dict[str, object]:
    """Both members, as V6 requires: a disabled translation keeps its languages, and only one without any has none."""
    if translation is None or not translation.languages:
        return {"enable": False}
    return {"enable": translation.enabled, "languages": _pairs(translation.languages)}


def _pairs(pairs: Iterable[TranslationPair]) -> list[dict[str, object]]:
    """One entry per source: Agora is reported to refuse a second one ("Duplicate source language")."""
    targets: dict[str, dict[str, None]] = {}
    for pair in pairs:
        targets.setdefault(pair.source, {}).update(dict.fromkeys(pair.targets))
    return [{"source": source, "target": list(merged)} for source, merged in targets.items()]
