"""From the resource's terms to Agora's."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import SecretStr

from agora_transcription.agora import Dialect, Encryption, Field, mint_rtc_token
from agora_transcription.api import Applied, TaskSpec
from agora_transcription.controller.translate import (
    ENCRYPTION_MODES,
    STORAGE_VENDORS,
    Credentials,
    StorageKeys,
    bot_uid,
    changed_fields,
    instance_name,
    live_settings,
    settings_of,
    start_hash,
    start_request,
    subscriber_uid,
    unsupported,
)
from unit.controller.builders import BIRTH, CREDENTIALS, UID

LANGUAGES = st.sampled_from(["en-US", "de-DE", "fr-FR", "it-IT", "zh-CN-sichuan"])
UIDS = st.integers(min_value=1, max_value=2**32 - 1).map(str)
PAIRS = st.builds(
    lambda source, targets: {"source": source, "targets": targets},
    LANGUAGES,
    st.lists(LANGUAGES, min_size=1, max_size=4, unique=True),
)
SETTINGS = st.fixed_dictionaries(
    {"languages": st.lists(LANGUAGES, min_size=1, max_size=4, unique=True)},
    optional={
        "subscribeAudioUids": st.just(["all"]) | st.lists(UIDS, min_size=1, max_size=5, unique=True),
        "uidLanguages": st.lists(
            st.builds(
                lambda uid, languages: {"uid": uid, "languages": languages},
                UIDS,
                st.lists(LANGUAGES, min_size=1, max_size=3, unique=True),
            ),
            max_size=5,
            unique_by=lambda entry: entry["uid"],
        ),
        "translation": st.builds(
            lambda enabled, languages: {"enabled": enabled, "languages": languages},
            st.booleans(),
            st.lists(PAIRS, min_size=1, max_size=4),
        ),
    },
)


def spec(**fields: Any) -> TaskSpec:
    return TaskSpec.model_validate({"channel": "standup", "languages": ["en-US"], **fields})


def shuffled(value: Any, random: Any) -> Any:
    """The same settings with every list in another order."""
    if isinstance(value, dict):
        return {name: shuffled(inner, random) for name, inner in value.items()}
    if isinstance(value, list):
        return random.sample([shuffled(inner, random) for inner in value], len(value))
    return value


@given(SETTINGS, st.randoms(use_true_random=False))
def test_the_order_of_lists_is_no_change(settings: dict[str, Any], random: Any) -> None:
    before, after = (Applied.model_validate(value) for value in (settings, shuffled(settings, random)))
    assert changed_fields(before, after) == frozenset()


@given(SETTINGS, SETTINGS)
def test_a_change_is_seen_both_ways(one: dict[str, Any], other: dict[str, Any]) -> None:
    before, after = Applied.model_validate(one), Applied.model_validate(other)
    assert changed_fields(before, after) == changed_fields(after, before)
    if set(one["languages"]) != set(other["languages"]):
        assert Field.LANGUAGES in changed_fields(before, after)


@pytest.mark.parametrize(
    ("before", "after", "fields"),
    [
        ({}, {"languages": ["en-US", "de-DE"]}, {Field.LANGUAGES}),
        ({}, {"subscribeAudioUids": ["17"]}, {Field.SUBSCRIBE_AUDIO_UIDS}),
        ({}, {"subscribeAudioUids": ["all"]}, set()),
        ({"subscribeAudioUids": ["17"]}, {"subscribeAudioUids": ["all"]}, {Field.SUBSCRIBE_AUDIO_UIDS}),
        ({}, {"uidLanguages": [{"uid": "17", "languages": ["de-DE"]}]}, {Field.UID_LANGUAGES}),
        ({}, {"translation": {"languages": [{"source": "en-US", "targets": ["de-DE"]}]}}, {Field.TRANSLATION}),
        ({}, {"translation": {"enabled": False, "languages": [{"source": "en-US", "targets": ["de-DE"]}]}}, set()),
        (
            {"translation": {"languages": [{"source": "en-US", "targets": ["de-DE"]}]}},
            {"languages": ["de-DE"]},
            {Field.LANGUAGES, Field.TRANSLATION},
        ),
    ],
)
def test_what_an_update_replaces(before: dict[str, Any], after: dict[str, Any], fields: set[Field]) -> None:
    assert changed_fields(settings_of(spec(**before)), settings_of(spec(**after))) == fields


def test_a_translation_that_is_gone_is_switched_off_with_its_languages() -> None:
    translation = {"languages": [{"source": "en-US", "targets": ["de-DE"]}]}
    applied = settings_of(spec(translation=translation))
    sent = live_settings(settings_of(spec()), applied).translation
    assert sent is not None
    assert not sent.enabled
    assert sent.languages == live_settings(applied).translation.languages  # type: ignore[union-attr]
    assert live_settings(settings_of(spec())).translation is None


def test_all_speakers_are_no_list() -> None:
    assert live_settings(settings_of(spec(subscribeAudioUids=["all"]))).subscribe_audio_uids is None
    assert live_settings(settings_of(spec(subscribeAudioUids=["17"]))).subscribe_audio_uids == ("17",)


@given(SETTINGS)
def test_no_updatable_field_asks_for_a_restart(settings: dict[str, Any]) -> None:
    assert start_hash(spec(**settings)) == start_hash(spec())


@pytest.mark.parametrize(
    "unset",
    [
        {"idleTimeoutSeconds": 60},
        {"captions": {"format": "Protobuf"}},
        {"captions": {}},
        {"bot": {}},
        {"keywords": []},
        {"suspend": True},
        {"restartPolicy": "Never"},
        {"rollover": "Overlap"},
        {"activeDeadlineSeconds": 5},
        {"ttlSecondsAfterFinished": 5},
        {"deletionPolicy": "Orphan"},
    ],
    ids=str,
)
def test_neither_a_default_nor_a_policy_asks_for_a_restart(unset: dict[str, Any]) -> None:
    assert start_hash(spec(**unset)) == start_hash(spec())


STORAGE = {"vendor": "AmazonS3", "region": 3, "bucket": "captions", "credentialsSecretRef": {"name": "s3"}}


@pytest.mark.parametrize(
    "change",
    [
        {"idleTimeoutSeconds": 61},
        {"captions": {"format": "Json"}},
        {"captions": {"sliceDurationSeconds": 61}},
        {"captions": {"storage": STORAGE}},
        {"bot": {"uid": "1001"}},
        {"bot": {"subscriberUid": "1001"}},
        {"keywords": ["kubelet"]},
        {"unsubscribeAudioUids": ["17"]},
        {"encryption": {"mode": "AES_128_GCM", "secretRef": {"name": "channel"}}},
    ],
    ids=str,
)
def test_what_no_update_can_change_asks_for_a_restart(change: dict[str, Any]) -> None:
    assert start_hash(spec(**change)) != start_hash(spec())


@given(st.uuids().map(str), st.integers(min_value=0, max_value=2**31 - 1))
def test_every_bot_uid_is_one_that_agora_takes(uid: str, attempt: int) -> None:
    uids = [bot_uid(spec(), uid, attempt), subscriber_uid(spec(), uid, attempt, Dialect.V6)]
    assert all(value is not None and 1 <= int(value) <= 2**32 - 1 for value in uids)
    assert uids[0] != uids[1]


def test_bots_of_tasks_in_one_channel_do_not_meet() -> None:
    bots = {
        bot_uid(spec(), f"{number:08}-7425-40de-944b-e07fc1f90ae7", attempt)
        for number in range(100)
        for attempt in range(10)
    }
    assert len(bots) == 1000


def test_bot_uids_of_the_spec_are_taken_as_they_are() -> None:
    asked = spec(bot={"uid": "1001", "subscriberUid": "1002"})
    assert bot_uid(asked, UID, 3) == "1001"
    assert subscriber_uid(asked, UID, 3, Dialect.V7) == subscriber_uid(asked, UID, 3, Dialect.V6) == "1002"
    assert subscriber_uid(spec(), UID, 3, Dialect.V7) is None


@given(st.uuids().map(str), st.integers(min_value=0, max_value=2**31 - 1))
def test_names_are_what_agora_takes(uid: str, attempt: int) -> None:
    name = instance_name(uid, attempt)
    assert len(name) <= 64
    assert name.replace("-", "").isalnum()
    assert name != instance_name(uid, attempt + 1)


TARGETS = ["de-DE", "fr-FR", "it-IT", "es-ES", "pt-PT", "nl-NL"]


@pytest.mark.parametrize(
    ("fields", "v6", "v7"),
    [
        ({}, None, None),
        ({"keywords": ["kubelet"]}, "spec.keywords", None),
        ({"idleTimeoutSeconds": 4}, "5 to 2592000", None),
        ({"idleTimeoutSeconds": 5}, None, None),
        ({"idleTimeoutSeconds": 0}, "5 to 2592000", None),
        ({"idleTimeoutSeconds": 259200}, None, None),
        ({"idleTimeoutSeconds": 259201}, None, "0 to 259200"),
        ({"idleTimeoutSeconds": 2592000}, None, "0 to 259200"),
        ({"translation": {"languages": [{"source": "en-US", "targets": TARGETS[:5]}]}}, None, None),
        ({"translation": {"languages": [{"source": "en-US", "targets": TARGETS}]}}, "at most 5", None),
        ({"translation": {"languages": [{"source": "en-US", "targets": ["en-US"]}]}}, "must differ", None),
        ({"captions": {"storage": STORAGE}}, None, None),
        ({"captions": {"storage": {**STORAGE, "vendor": "TencentCloud"}}}, "AmazonS3, AzureBlob, GoogleCloud", None),
    ],
    ids=str,
)
def test_what_an_api_does_not_have(fields: dict[str, Any], v6: str | None, v7: str | None) -> None:
    for dialect, expected in ((Dialect.V6, v6), (Dialect.V7, v7)):
        told = unsupported(spec(**fields), dialect)
        if expected is None:
            assert told is None
        else:
            assert told is not None
            assert expected in told
            assert told.startswith("spec.")


def mint(uid: str) -> SecretStr | None:
    return mint_rtc_token(CREDENTIALS.account, "standup", uid, now=BIRTH)


def test_a_plain_start_request() -> None:
    request = start_request(spec(), CREDENTIALS, uid=UID, attempt=2, dialect=Dialect.V7, mint=mint)
    assert request.name == f"tt-{UID}-2"
    assert (request.channel, request.settings.languages, request.idle_timeout_seconds) == ("standup", ("en-US",), 60)
    assert request.bot_uid == bot_uid(spec(), UID, 2)
    assert request.bot_token is not None
    assert request.bot_token.get_secret_value().startswith("007")
    assert (request.subscriber_uid, request.subscriber_token) == (None, None)
    assert request.captions.storage is None
    assert request.encryption is None


def test_v6_gets_its_second_bot_with_a_token_of_its_own() -> None:
    request = start_request(spec(), CREDENTIALS, uid=UID, attempt=0, dialect=Dialect.V6, mint=mint)
    assert request.subscriber_uid not in {None, request.bot_uid}
    assert request.subscriber_token not in {None, request.bot_token}


def test_a_full_start_request() -> None:
    full = spec(
        captions={
            "format": "Json",
            "sliceDurationSeconds": 30,
            "storage": {
                **STORAGE,
                "vendor": "S3Compatible",
                "endpoint": "https://s3.test",
                "fileNamePrefix": ["a", "b"],
            },
        },
        unsubscribeAudioUids=["18"],
        keywords=["kubelet"],
        encryption={"mode": "AES_256_GCM2", "secretRef": {"name": "channel"}},
    )
    encryption = Encryption(8, SecretStr("key"), SecretStr("salt"))
    credentials = Credentials(CREDENTIALS.account, StorageKeys(SecretStr("access"), SecretStr("secret")), encryption)
    request = start_request(full, credentials, uid=UID, attempt=0, dialect=Dialect.V7, mint=mint)
    storage = request.captions.storage
    assert (request.captions.json_protocol, request.captions.slice_seconds) == (True, 30)
    assert storage is not None
    assert (storage.vendor, storage.region, storage.bucket) == (11, 3, "captions")
    assert (storage.file_name_prefix, storage.endpoint) == (("a", "b"), "https://s3.test")
    assert storage.access_key.get_secret_value() == "access"
    assert (request.unsubscribe_audio_uids, request.keywords) == (("18",), ("kubelet",))
    assert request.encryption is encryption
    assert "key" not in repr(request.encryption)


def test_agoras_numbers() -> None:
    """Of `captionConfig.storage.vendor` and `rtcConfig.cryptionMode`."""
    assert set(STORAGE_VENDORS.values()) == {1, 2, 3, 5, 6, 7, 8, 11}
    assert list(ENCRYPTION_MODES.values()) == [1, 2, 3, 4, 5, 6, 7, 8]
