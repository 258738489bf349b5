"""The whole life of a task, in both dialects, against an Agora that was written from its pages independently."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from pydantic import SecretStr

from agora_transcription.agora import (
    Account,
    Agora,
    AgoraClient,
    AgoraError,
    Ambiguous,
    Busy,
    Captions,
    Conflict,
    CredentialsRefused,
    Dialect,
    Encryption,
    Field,
    Gone,
    Handle,
    LiveSettings,
    QuotaExceeded,
    RequestRefused,
    ServiceNotEnabled,
    StartRequest,
    State,
    Storage,
    Throttled,
    TokenRefused,
    TokenVersion,
    Translation,
    TranslationPair,
    UidLanguages,
    Update,
    Upstream,
    mint_rtc_token,
)
from agora_transcription.simulator import DEMO_ACCOUNT, Fault, SimulatorOptions, create_app, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

ACCOUNT = Account(
    DEMO_ACCOUNT.app_id, DEMO_ACCOUNT.customer_id, DEMO_ACCOUNT.customer_secret, DEMO_ACCOUNT.app_certificate
)
BEGAN = 1_790_000_000.0


@dataclass
class Simulated:
    """A simulator, the client that talks to it, and the time that both go by."""

    client: AgoraClient
    side: httpx.AsyncClient
    seconds: float = BEGAN

    async def wait(self, seconds: float) -> None:
        self.seconds += seconds

    async def tasks(self, *, live: bool = False) -> list[dict[str, Any]]:
        answer = await self.side.get("/simulator/tasks", params={"live": live})
        return cast("list[dict[str, Any]]", answer.raise_for_status().json())

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


@asynccontextmanager
async def simulator(
    options: SimulatorOptions | None = None, faults: Sequence[Fault] = (), *, sockets: bool = False
) -> AsyncIterator[Simulated]:
    """A simulator in this process; over real sockets where connections have to break."""
    app = create_app(options, faults=faults, wall=lambda: simulated.seconds)
    asgi = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=asgi, base_url="http://agora.test") as side:
        if sockets:
            async with serving(app) as url, AgoraClient(url) as client:
                simulated = Simulated(client, side)
                yield simulated
        else:
            async with AgoraClient("http://agora.test", transport=asgi) as client:
                simulated = Simulated(client, side)
                yield simulated


def request(now: datetime, name: str = "ttask-1b2c-1", *, version: TokenVersion = TokenVersion.V007) -> StartRequest:
    """A task with everything that V6 and V7 have in common."""
    return StartRequest(
        name=name,
        channel="daily stand-up",
        settings=LiveSettings(
            languages=("en-US",),
            subscribe_audio_uids=("17", "18"),
            uid_languages=(UidLanguages("17", ("de-DE",)),),
            translation=Translation(enabled=True, languages=(TranslationPair("en-US", ("de-DE", "fr-FR")),)),
        ),
        idle_timeout_seconds=60,
        bot_uid="1001",
        bot_token=mint_rtc_token(ACCOUNT, "daily stand-up", "1001", version=version, now=now),
        subscriber_uid="1002",
        subscriber_token=mint_rtc_token(ACCOUNT, "daily stand-up", "1002", version=version, now=now),
        captions=Captions(
            json_protocol=True,
            slice_seconds=30,
            storage=Storage(1, 3, "captions", SecretStr("access"), SecretStr("storage-secret"), ("team",)),
        ),
        encryption=Encryption(
            8, SecretStr("channel-secret"), SecretStr("QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=")
        ),
    )


async def started(agora: Agora, wanted: StartRequest, account: Account = ACCOUNT) -> Handle:
    token = await agora.acquire(account, wanted.name)
    task = await agora.start(account, wanted, token)
    return Handle(task.task_id, token)


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("version", TokenVersion)
async def test_a_whole_life(dialect: Dialect, version: TokenVersion) -> None:
    async with simulator() as agora_itself:
        agora, wanted = agora_itself.client.dialect(dialect), request(agora_itself.now, version=version)
        handle = await started(agora, wanted)
        seen = await agora.query(ACCOUNT, handle)
        assert (seen.task_id, seen.state, seen.created) == (handle.task_id, State.ACTIVE, agora_itself.now)

        changed = LiveSettings(
            languages=("en-US", "fr-FR"),
            translation=Translation(enabled=False, languages=(TranslationPair("en-US", ("de-DE",)),)),
        )
        with pytest.raises(RequestRefused, match="5 seconds"):
            await agora.update(ACCOUNT, handle, Update(1, frozenset(Field), changed))
        await agora_itself.wait(5)
        await agora.update(ACCOUNT, handle, Update(1, frozenset(Field), changed))
        (task,) = await agora_itself.tasks(live=True)
        assert (task["sequenceId"], len(task["updates"])) == (1, 1)
        assert task["settings"]["languages"] == ["en-US", "fr-FR"]
        assert task["settings"]["rtcConfig"]["subscribeAudioUids"] == ["all"]
        assert task["settings"]["uidLanguagesConfig"] == []
        assert task["settings"]["translateConfig"] == {
            "enable": False,
            "languages": [{"source": "en-US", "target": ["de-DE"]}],
        }

        await agora.stop(ACCOUNT, handle)
        assert (await agora.query(ACCOUNT, handle)).state is State.STOPPED
        with pytest.raises(Gone):
            await agora.stop(ACCOUNT, handle)
        await agora_itself.wait(61)
        with pytest.raises(Gone):
            await agora.query(ACCOUNT, handle)
        assert await agora_itself.tasks(live=True) == []


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("field", Field)
async def test_each_field_is_updated_alone(dialect: Dialect, field: Field) -> None:
    async with simulator() as agora_itself:
        agora = agora_itself.client.dialect(dialect)
        handle = await started(agora, request(agora_itself.now))
        await agora_itself.wait(5)
        changed = LiveSettings(
            ("de-DE",),
            ("5",),
            (UidLanguages("5", ("fr-FR",)),),
            Translation(enabled=True, languages=(TranslationPair("de-DE", ("en-US",)),)),
        )
        await agora.update(ACCOUNT, handle, Update(7, frozenset({field}), changed))
        (task,) = await agora_itself.tasks()
        assert [update["sequenceId"] for update in task["updates"]] == [7]


async def test_a_translation_without_languages_is_switched_off_on_v7() -> None:
    async with simulator() as agora_itself:
        agora = agora_itself.client.dialect(Dialect.V7)
        handle = await started(agora, request(agora_itself.now))
        await agora_itself.wait(5)
        await agora.update(ACCOUNT, handle, Update(1, frozenset({Field.TRANSLATION}), LiveSettings(("en-US",))))
        (task,) = await agora_itself.tasks()
        assert task["settings"]["translateConfig"]["enable"] is False


@pytest.mark.parametrize("dialect", Dialect)
async def test_a_start_whose_answer_is_lost_is_found_by_repeating_it(dialect: Dialect) -> None:
    operation = "join" if dialect is Dialect.V7 else "start"
    lost = Fault.model_validate({"operation": operation, "drop": "after"})
    async with simulator(SimulatorOptions(conflict_carries_id=True), [lost], sockets=True) as agora_itself:
        agora, wanted = agora_itself.client.dialect(dialect), request(agora_itself.now)
        token = await agora.acquire(ACCOUNT, wanted.name)
        with pytest.raises(Ambiguous):
            await agora.start(ACCOUNT, wanted, token)
        with pytest.raises(Conflict) as conflict:
            await agora.start(ACCOUNT, wanted, token)
        (task,) = await agora_itself.tasks()
        assert conflict.value.task_id == task["taskId"]
        assert (await agora.query(ACCOUNT, Handle(task["taskId"], token))).state is State.ACTIVE


@pytest.mark.parametrize("dialect", Dialect)
async def test_a_start_that_never_arrived_is_repeated_with_success(dialect: Dialect) -> None:
    operation = "join" if dialect is Dialect.V7 else "start"
    lost = Fault.model_validate({"operation": operation, "drop": "before"})
    async with simulator(faults=[lost], sockets=True) as agora_itself:
        agora, wanted = agora_itself.client.dialect(dialect), request(agora_itself.now)
        token = await agora.acquire(ACCOUNT, wanted.name)
        with pytest.raises(Ambiguous):
            await agora.start(ACCOUNT, wanted, token)
        assert (await agora.start(ACCOUNT, wanted, token)).task_id
        assert len(await agora_itself.tasks()) == 1


async def test_a_conflict_without_an_id_is_resolved_by_the_list() -> None:
    async with simulator() as agora_itself:
        agora = agora_itself.client.dialect(Dialect.V7)
        first = await started(agora, request(agora_itself.now))
        with pytest.raises(Conflict) as conflict:
            await agora.start(ACCOUNT, request(agora_itself.now), None)
        assert conflict.value.task_id is None
        (row,) = await agora.list_live(ACCOUNT, "daily stand-up", agora_itself.now - timedelta(minutes=1))
        assert (row.task_id, row.status, row.started) == (first.task_id, "RUNNING", agora_itself.now)
        assert await agora.list_live(ACCOUNT, "another channel", agora_itself.now) == []


async def test_the_list_is_read_through_all_its_pages() -> None:
    async with simulator(SimulatorOptions(start_delay=30)) as agora_itself:
        agora = agora_itself.client.dialect(Dialect.V7)
        ids = set()
        for number in range(1, 251):
            wanted = replace(
                request(agora_itself.now, f"ttask-{number}-1"),
                bot_uid=str(number),
                bot_token=mint_rtc_token(ACCOUNT, "daily stand-up", str(number), now=agora_itself.now),
                subscriber_uid=None,
                subscriber_token=None,
            )
            ids.add((await started(agora, wanted)).task_id)
            if number == 120:
                await agora_itself.wait(30)
        found = await agora.list_live(ACCOUNT, "daily stand-up", agora_itself.now - timedelta(minutes=1))
        assert {row.task_id for row in found} == ids
        assert len(found) == 250
        assert {row.status for row in found} == {"RUNNING", "STARTING"}


@pytest.mark.parametrize("dialect", Dialect)
async def test_wrong_credentials_are_refused(dialect: Dialect) -> None:
    wrong = replace(ACCOUNT, customer_secret=SecretStr("wrong"))
    async with simulator() as agora_itself:
        with pytest.raises(CredentialsRefused):
            await started(agora_itself.client.dialect(dialect), request(agora_itself.now), wrong)


@pytest.mark.parametrize("dialect", Dialect)
async def test_a_service_that_is_not_enabled_is_named(dialect: Dialect) -> None:
    disabled = SimulatorOptions(accounts=(DEMO_ACCOUNT.model_copy(update={"stt_enabled": False}),))
    async with simulator(disabled) as agora_itself:
        with pytest.raises(ServiceNotEnabled):
            await started(agora_itself.client.dialect(dialect), request(agora_itself.now))


@pytest.mark.parametrize("dialect", Dialect)
async def test_an_app_id_that_agora_does_not_know_is_named(dialect: Dialect) -> None:
    unknown = replace(ACCOUNT, app_id="f" * 32)
    async with simulator() as agora_itself:
        with pytest.raises(ServiceNotEnabled, match="invalid_appid"):
            await started(agora_itself.client.dialect(dialect), request(agora_itself.now), unknown)


@pytest.mark.parametrize("dialect", Dialect)
async def test_a_full_quota_is_named(dialect: Dialect) -> None:
    full = SimulatorOptions(accounts=(DEMO_ACCOUNT.model_copy(update={"max_tasks": 0}),))
    async with simulator(full) as agora_itself:
        with pytest.raises(QuotaExceeded):
            await started(agora_itself.client.dialect(dialect), request(agora_itself.now))


@pytest.mark.parametrize("dialect", Dialect)
async def test_an_rtc_token_of_another_channel_is_refused_and_not_repeated(dialect: Dialect) -> None:
    async with simulator() as agora_itself:
        token = mint_rtc_token(ACCOUNT, "another channel", "1001", now=agora_itself.now)
        assert token is not None
        with pytest.raises(RequestRefused, match="pubBotToken") as refused:
            await started(agora_itself.client.dialect(dialect), replace(request(agora_itself.now), bot_token=token))
        assert token.get_secret_value()[:20] not in str(refused.value)


async def test_a_builder_token_that_was_kept_too_long_is_to_be_acquired_anew() -> None:
    async with simulator() as agora_itself:
        agora, wanted = agora_itself.client.dialect(Dialect.V6), request(agora_itself.now)
        token = await agora.acquire(ACCOUNT, wanted.name)
        await agora_itself.wait(301)
        with pytest.raises(TokenRefused):
            await agora.start(ACCOUNT, wanted, token)
        handle = await started(agora, wanted)
        with pytest.raises(TokenRefused):
            await agora.query(ACCOUNT, replace(handle, builder_token=token))


async def test_a_task_that_is_still_starting_is_busy_on_v7() -> None:
    async with simulator(SimulatorOptions(start_delay=60)) as agora_itself:
        agora = agora_itself.client.dialect(Dialect.V7)
        handle = await started(agora, request(agora_itself.now))
        assert (await agora.query(ACCOUNT, handle)).state is State.STARTING
        await agora_itself.wait(10)
        with pytest.raises(Busy):
            await agora.update(ACCOUNT, handle, Update(1, frozenset({Field.LANGUAGES}), LiveSettings(("de-DE",))))


@pytest.mark.parametrize("dialect", Dialect)
async def test_a_task_that_fails_is_seen_to_have(dialect: Dialect) -> None:
    async with simulator() as agora_itself:
        agora = agora_itself.client.dialect(dialect)
        handle = await started(agora, request(agora_itself.now))
        await agora_itself.side.post(
            f"/simulator/tasks/{handle.task_id}/end", json={"status": "FAILED", "message": "Fatal ASR error"}
        )
        seen = await agora.query(ACCOUNT, handle)
        assert seen.state is State.FAILED
        if dialect is Dialect.V7:
            assert seen.message == "Fatal ASR error"


FAULTS: list[Any] = [
    pytest.param({"status": 429, "headers": {"Retry-After": "9"}}, Throttled, id="throttled"),
    pytest.param({"status": 502, "body": "<html><h1>Bad Gateway</h1></html>"}, Upstream, id="gateway"),
    pytest.param({"status": 500, "body": '{"detail": "cut o'}, Upstream, id="truncated"),
    pytest.param({"status": 404, "body": "<html>nginx</html>"}, Upstream, id="a page is no task that is gone"),
]


@pytest.mark.parametrize(("action", "error"), FAULTS)
@pytest.mark.parametrize("dialect", Dialect)
async def test_scripted_faults(dialect: Dialect, action: dict[str, Any], error: type[AgoraError]) -> None:
    async with simulator(faults=[Fault.model_validate({"operation": "query", **action})]) as agora_itself:
        agora = agora_itself.client.dialect(dialect)
        handle = await started(agora, request(agora_itself.now))
        with pytest.raises(error) as raised:
            await agora.query(ACCOUNT, handle)
        if isinstance(raised.value, Throttled):
            assert raised.value.retry_after == 9
        assert (await agora.query(ACCOUNT, handle)).state is State.ACTIVE
