"""An Agora that answers from a script and remembers what it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from pydantic import SecretStr

from agora_transcription.agora import (
    Account,
    AgoraClient,
    Captions,
    Dialect,
    Encryption,
    LiveSettings,
    StartRequest,
    Storage,
    Translation,
    TranslationPair,
    UidLanguages,
)
from support.agora import ScriptedAgora

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agora_transcription.agora import Agora

APP_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def account() -> Account:
    return Account(
        app_id=APP_ID,
        customer_id="demo-customer",
        customer_secret=SecretStr("demo-secret"),
        app_certificate=SecretStr("fedcba9876543210fedcba9876543210"),
    )


@pytest.fixture
def scripted() -> ScriptedAgora:
    return ScriptedAgora()


@pytest.fixture
async def client(scripted: ScriptedAgora) -> AsyncIterator[AgoraClient]:
    async with AgoraClient("https://agora.test", transport=httpx.MockTransport(scripted)) as client:
        yield client


@pytest.fixture
def v7(client: AgoraClient) -> Agora:
    return client.dialect(Dialect.V7)


@pytest.fixture
def v6(client: AgoraClient) -> Agora:
    return client.dialect(Dialect.V6)


@pytest.fixture
def smallest_request() -> StartRequest:
    """A task with nothing but what is required."""
    return StartRequest(
        name="ttask-1b2c-1",
        channel="room",
        settings=LiveSettings(languages=("en-US",)),
        idle_timeout_seconds=60,
        bot_uid="1001",
    )


@pytest.fixture
def fullest_request() -> StartRequest:
    """A task with everything that either dialect takes."""
    return StartRequest(
        name="ttask-1b2c-2",
        channel="room",
        settings=LiveSettings(
            languages=("en-US", "de-DE"),
            subscribe_audio_uids=("17", "18"),
            uid_languages=(UidLanguages("17", ("en-US",)), UidLanguages("18", ("de-DE", "fr-FR"))),
            translation=Translation(
                enabled=True,
                languages=(
                    TranslationPair("en-US", ("de-DE",)),
                    TranslationPair("de-DE", ("en-US",)),
                    TranslationPair("en-US", ("fr-FR", "de-DE")),
                ),
            ),
        ),
        idle_timeout_seconds=120,
        bot_uid="1001",
        bot_token=SecretStr("bot-token"),
        subscriber_uid="1002",
        subscriber_token=SecretStr("subscriber-token"),
        unsubscribe_audio_uids=("99",),
        captions=Captions(
            json_protocol=True,
            slice_seconds=30,
            storage=Storage(
                vendor=1,
                region=3,
                bucket="captions",
                access_key=SecretStr("access"),
                secret_key=SecretStr("storage-secret"),
                file_name_prefix=("team", "calls"),
            ),
        ),
        encryption=Encryption(mode=8, secret=SecretStr("channel-secret"), salt=SecretStr("c2FsdA==")),
    )
