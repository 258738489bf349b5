"""The Secrets of tasks: what is wrong with them is told by key, and a mended one wakes whoever waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from agora_transcription.api import Reason, TaskSpec
from agora_transcription.controller import credentials
from agora_transcription.controller.credentials import CredentialStore, account_of, credentials_of
from agora_transcription.controller.store import NotFound, Secret, StoreError
from agora_transcription.controller.translate import account_hash
from unit.controller.builders import SECRET, UID, Clock, task_of

if TYPE_CHECKING:
    from agora_transcription.api import TranscriptionTask
    from agora_transcription.controller.steps import Problem
    from agora_transcription.controller.store import Store
    from agora_transcription.controller.translate import Credentials

MODES = ("AES_128_GCM", "AES_128_GCM2")
STORAGE = {"vendor": "AmazonS3", "region": 3, "bucket": "captions", "credentialsSecretRef": {"name": "s3"}}


class Secrets:
    """A store with Secrets and nothing else."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, str]] = {"agora-credentials": dict(SECRET)}
        self.reads = 0
        self.fails = False

    async def secret(self, namespace: str, name: str) -> Secret:
        self.reads += 1
        await asyncio.sleep(0)
        if self.fails:
            raise StoreError("get secret", None, "no answer")
        if name not in self.there:
            raise NotFound(f"get secret {namespace}/{name}", 404, "not found")
        return Secret(str(hash(frozenset(self.there[name].items()))), self.there[name])


class Scene:
    def __init__(self, secrets: Store) -> None:
        self.clock = Clock()
        self.woken: list[str] = []
        self.waked = asyncio.Event()
        self.store = CredentialStore(secrets, self.wake, clock=self.clock.monotonic)

    def wake(self, uid: str) -> None:
        self.woken.append(uid)
        self.waked.set()


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture
def scene(secrets: Any) -> Scene:
    return Scene(secrets)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"appId": ""}, "appId"),
        ({"appId": "not hexadecimal"}, "appId"),
        ({"appId": SECRET["appId"] + "0"}, "appId"),
        ({"customerId": " "}, "customerId"),
        ({"customerSecret": ""}, "customerSecret"),
        ({"appCertificate": "hunter2-is-no-certificate"}, "appCertificate"),
    ],
)
def test_a_bad_secret_is_told_by_its_key_and_never_by_a_value(change: dict[str, str], key: str) -> None:
    content = {**SECRET, **change}
    with pytest.raises(credentials.SecretInvalid) as told:
        account_of(content)
    assert f"key {key}" in str(told.value)
    for value in filter(str.strip, content.values()):
        assert value not in str(told.value)


@pytest.mark.parametrize("key", ["appId", "customerId", "customerSecret"])
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(credentials.SecretInvalid, match=f"key {key} is missing or empty"):
        account_of({name: value for name, value in SECRET.items() if name != key})


def test_all_missing_keys_are_named_at_once() -> None:
    with pytest.raises(credentials.SecretInvalid, match=r"^keys appId, customerSecret are missing or empty$"):
        account_of({**SECRET, "appId": "", "customerSecret": " "})
    with pytest.raises(credentials.SecretInvalid, match="keys appId, customerId, customerSecret are missing"):
        account_of({})


def test_a_missing_key_is_told_before_a_bad_value() -> None:
    with pytest.raises(credentials.SecretInvalid, match="key customerId is missing or empty"):
        account_of({**SECRET, "appId": "not hexadecimal", "customerId": ""})


@pytest.mark.parametrize("certificate", [None, "", " \n"])
def test_a_project_may_have_no_certificate(certificate: str | None) -> None:
    content = {name: value for name, value in SECRET.items() if name != "appCertificate"}
    assert (
        account_of(content | ({} if certificate is None else {"appCertificate": certificate})).app_certificate is None
    )


def test_line_ends_around_values_do_not_matter() -> None:
    """`echo secret | base64` leaves one."""
    assert account_of({name: f"{value}\n" for name, value in SECRET.items()}) == account_of(SECRET)


def test_an_account_shows_no_secret() -> None:
    assert SECRET["customerSecret"] not in repr(account_of(SECRET))
    assert SECRET["appCertificate"] not in repr(account_of(SECRET))


def spec(**fields: Any) -> TaskSpec:
    return task_of(fields).spec


@pytest.mark.parametrize(
    ("fields", "secrets", "told"),
    [
        ({"captions": {"storage": STORAGE}}, {"s3": {"accessKey": "a"}}, "s3: key secretKey"),
        ({"captions": {"storage": STORAGE}}, {"s3": {"secretKey": "a"}}, "s3: key accessKey"),
        ({"captions": {"storage": STORAGE}}, {"s3": {}}, "s3: keys accessKey, secretKey are missing or empty"),
        ({"encryption": {"mode": "AES_128_GCM", "secretRef": {"name": "c"}}}, {"c": {}}, "c: key secret is"),
        ({"encryption": {"mode": "AES_128_GCM2", "secretRef": {"name": "c"}}}, {"c": {"secret": "k"}}, "c: key salt"),
        ({"encryption": {"mode": "AES_256_GCM2", "secretRef": {"name": "c"}}}, {"c": {}}, "c: keys secret, salt are"),
    ],
)
def test_other_secrets_are_told_by_name_and_key(
    fields: dict[str, Any], secrets: dict[str, dict[str, str]], told: str
) -> None:
    with pytest.raises(credentials.SecretInvalid, match=told):
        credentials_of(spec(**fields), {"agora-credentials": SECRET, **secrets})


def test_a_salt_belongs_to_the_gcm2_modes_only() -> None:
    content = {"agora-credentials": SECRET, "c": {"secret": "k", "salt": "s"}}
    for mode, salted in (("AES_128_GCM", False), ("AES_128_GCM2", True), ("AES_256_GCM2", True)):
        encryption = credentials_of(spec(encryption={"mode": mode, "secretRef": {"name": "c"}}), content).encryption
        assert encryption is not None
        assert (encryption.salt is not None) is salted


async def test_what_tasks_share_is_understood_once_and_anew_when_it_changes(scene: Scene, secrets: Secrets) -> None:
    first, _ = await _resolved(scene, task_of())
    assert (await _resolved(scene, task_of()))[0] is first
    secrets.there["agora-credentials"] = {**SECRET, "customerSecret": "renewed"}
    scene.clock.advance(31)
    second, _ = await _resolved(scene, task_of())
    assert first is not None
    assert second is not None
    assert second.account.customer_secret.get_secret_value() == "renewed"
    assert second.fingerprint != first.fingerprint


async def test_each_task_gets_what_it_wants_of_a_secret_that_it_shares(scene: Scene, secrets: Secrets) -> None:
    own = {"credentialsSecretRef": {"name": "agora-credentials"}}
    secrets.there["agora-credentials"] = {**SECRET, "accessKey": "a", "secretKey": "b", "secret": "k", "salt": "s"}
    stored = {"captions": {"storage": {**STORAGE, **own}}}
    ciphers = [{"encryption": {"mode": mode, "secretRef": own["credentialsSecretRef"]}} for mode in MODES]
    wanted: list[dict[str, Any]] = [{}, stored, *ciphers, *({**stored, **cipher} for cipher in ciphers)]
    for fields in [*wanted, *wanted]:
        found, problem = await _resolved(scene, task_of(fields))
        assert problem is None
        assert found == credentials_of(spec(**fields), secrets.there)


async def test_keys_of_other_secrets_do_not_outlive_their_tasks(scene: Scene, secrets: Secrets) -> None:
    secrets.there["s3"] = {"accessKey": "a", "secretKey": "b"}
    task = task_of({"captions": {"storage": STORAGE}})
    first, second = (await _resolved(scene, task))[0], (await _resolved(scene, task))[0]
    assert first == second
    assert first is not second


async def _resolved(scene: Scene, task: TranscriptionTask) -> tuple[Credentials | None, Problem | None]:
    return await scene.store.resolve(task, started=False)


async def test_a_secret_is_read_once_for_a_while(scene: Scene, secrets: Secrets) -> None:
    for _ in range(5):
        found, problem = await scene.store.resolve(task_of(), started=True)
        assert found is not None
        assert problem is None
    assert secrets.reads == 1
    scene.clock.advance(credentials.FRESH_SECONDS + 1)
    await scene.store.resolve(task_of(), started=True)
    assert secrets.reads == 2


async def test_refused_credentials_are_read_again_yet_no_oftener_than_those_that_are_waited_for(
    scene: Scene, secrets: Secrets
) -> None:
    await scene.store.resolve(task_of(), started=True)
    secrets.there["agora-credentials"] = {**SECRET, "customerSecret": "renewed"}
    for pause, reads in ((credentials.RECHECK_SECONDS, 1), (0.001, 2), (credentials.RECHECK_SECONDS, 2), (0.001, 3)):
        scene.clock.advance(pause)
        scene.store.doubt(task_of())
        found, _ = await scene.store.resolve(task_of(), started=True)
        assert secrets.reads == reads
        assert found is not None
        assert (found.account.customer_secret.get_secret_value() == "renewed") is (reads > 1)


async def test_tasks_that_ask_at_the_same_time_share_one_read(scene: Scene, secrets: Secrets) -> None:
    await asyncio.gather(*(scene.store.resolve(task_of(uid=str(number)), started=True) for number in range(20)))
    assert secrets.reads == 1


async def test_a_missing_secret_is_told_by_name(scene: Scene, secrets: Secrets) -> None:
    secrets.there.clear()
    found, problem = await scene.store.resolve(task_of(), started=True)
    assert found is None
    assert problem is not None
    assert problem.reason is Reason.SECRET_NOT_FOUND
    assert "calls/agora-credentials" in problem.message


async def test_a_secret_that_turned_bad_leaves_the_last_good_credentials(scene: Scene, secrets: Secrets) -> None:
    good, _ = await scene.store.resolve(task_of(), started=True)
    secrets.there["agora-credentials"]["appId"] = "nonsense"
    scene.clock.advance(credentials.FRESH_SECONDS + 1)
    found, problem = await scene.store.resolve(task_of(), started=True)
    assert found == good
    assert problem is not None
    assert problem.reason is Reason.SECRET_INVALID
    assert "nonsense" not in problem.message
    other, _ = await scene.store.resolve(task_of(uid="another"), started=True)
    assert other is None, "they are those of one task"


async def test_a_running_task_is_not_handed_to_another_project(scene: Scene, secrets: Secrets) -> None:
    good, _ = await scene.store.resolve(task_of(), started=True)
    assert good is not None
    status = {"observedGeneration": 1, "taskId": "agora-1", "accountHash": account_hash(good.account)}
    secrets.there["agora-credentials"]["appId"] = "f" * 32
    scene.clock.advance(credentials.FRESH_SECONDS + 1)
    found, problem = await scene.store.resolve(task_of(None, status), started=True)
    assert found == good
    assert problem is not None
    assert "appId" in problem.message


async def test_an_api_server_that_does_not_answer_is_no_missing_secret(scene: Scene, secrets: Secrets) -> None:
    secrets.fails = True
    with pytest.raises(StoreError):
        await scene.store.resolve(task_of(), started=True)


async def resolve_many(scene: Scene, number: int = 50) -> list[Any]:
    asked = (scene.store.resolve(task_of(uid=str(uid)), started=True) for uid in range(number))
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_a_secret_that_cannot_be_read_fails_for_all_who_ask_with_one_read(scene: Scene, secrets: Secrets) -> None:
    """Each may take 15 s to fail: 50 in a row would hold the last one up for minutes."""
    secrets.fails = True
    assert {type(answer) for answer in await resolve_many(scene)} == {StoreError}
    assert secrets.reads == 1
    scene.clock.advance(credentials.RECHECK_SECONDS)
    await resolve_many(scene)
    assert secrets.reads == 1
    scene.clock.advance(0.001)
    await resolve_many(scene)
    assert secrets.reads == 2
    secrets.fails = False
    scene.clock.advance(credentials.RECHECK_SECONDS + 0.001)
    assert all(problem is None for _, problem in await resolve_many(scene))
    assert secrets.reads == 3


async def test_what_was_read_before_counts_while_a_secret_cannot_be_read(scene: Scene, secrets: Secrets) -> None:
    good, _ = await scene.store.resolve(task_of(), started=True)
    secrets.fails = True
    for tries in range(1, 4):
        scene.clock.advance(credentials.FRESH_SECONDS + 1)
        assert await resolve_many(scene) == [(good, None)] * 50
        assert secrets.reads == 1 + tries
    secrets.fails = False
    secrets.there["agora-credentials"]["customerSecret"] = "renewed"
    scene.clock.advance(credentials.RECHECK_SECONDS + 0.001)
    found, _ = await scene.store.resolve(task_of(), started=True)
    assert found is not None
    assert found.account.customer_secret.get_secret_value() == "renewed"


async def test_that_a_secret_was_not_there_counts_too_while_it_cannot_be_read(scene: Scene, secrets: Secrets) -> None:
    secrets.there.clear()
    await scene.store.resolve(task_of(), started=True)
    secrets.fails = True
    scene.clock.advance(credentials.FRESH_SECONDS + 1)
    found, problem = await scene.store.resolve(task_of(), started=True)
    assert found is None
    assert problem is not None
    assert problem.reason is Reason.SECRET_NOT_FOUND


@pytest.mark.parametrize("started", [False, True])
async def test_only_what_was_started_is_bound_to_its_project(scene: Scene, *, started: bool) -> None:
    status = {"observedGeneration": 1, "accountHash": "0123456789abcdef"}
    _, problem = await scene.store.resolve(task_of(None, status), started=started)
    assert (problem is not None) is started


async def test_a_retiring_task_is_bound_to_its_project_too(scene: Scene) -> None:
    retiring = {"taskId": "agora-1", "accountHash": "0123456789abcdef"}
    _, problem = await scene.store.resolve(task_of(None, {"observedGeneration": 1, "retiring": retiring}), started=True)
    assert problem is not None
    assert problem.reason is Reason.SECRET_INVALID


async def waiting(scene: Scene, task: TranscriptionTask) -> asyncio.Task[None]:
    await scene.store.resolve(task, started=True)
    scene.store.wait_for_change(task)
    return asyncio.create_task(scene.store.run())


async def test_a_mended_secret_wakes_who_waits_for_it(
    scene: Scene, secrets: Secrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "RECHECK_SECONDS", 0.001)
    secrets.there.clear()
    running = await waiting(scene, task_of())
    await rechecked(secrets, 3)
    assert scene.woken == []
    secrets.there["agora-credentials"] = dict(SECRET)
    await asyncio.wait_for(scene.waked.wait(), 5)
    assert scene.woken == [UID]
    found, problem = await scene.store.resolve(task_of(), started=True)
    assert found is not None
    assert problem is None, "what was read again is what counts"
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize("how", ["settle", "forget"])
async def test_who_waits_no_more_is_not_woken(
    scene: Scene, secrets: Secrets, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(credentials, "RECHECK_SECONDS", 0.001)
    secrets.there.clear()
    other = task_of(uid="another")
    running = await waiting(scene, task_of())
    scene.store.wait_for_change(other)
    if how == "settle":
        scene.store.settle(task_of())
    else:
        scene.store.forget(UID)
    secrets.there["agora-credentials"] = dict(SECRET)
    await asyncio.wait_for(scene.waked.wait(), 5)
    assert scene.woken == ["another"]
    running.cancel()
    await asyncio.wait([running])


async def test_a_failed_look_is_not_a_change(scene: Scene, secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "RECHECK_SECONDS", 0.001)
    secrets.there.clear()
    running = await waiting(scene, task_of())
    secrets.fails = True
    await rechecked(secrets, 3)
    assert scene.woken == []
    secrets.fails = False
    secrets.there["agora-credentials"] = dict(SECRET)
    await asyncio.wait_for(scene.waked.wait(), 5)
    running.cancel()
    await asyncio.wait([running])


async def rechecked(secrets: Secrets, times: int) -> None:
    """Wait until Secrets have been read so many times more."""
    enough = secrets.reads + times
    async with asyncio.timeout(5):
        while secrets.reads < enough:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("text", ["", "  ", None])
def test_the_notification_secret_can_be_left_out(text: str | None) -> None:
    secret = dict(SECRET) if text is None else {**SECRET, "notificationSecret": text}
    assert credentials_of(spec(), {"agora-credentials": secret}).notification_secret is None


async def test_the_notification_secret_is_known_without_another_read(scene: Scene, secrets: Secrets) -> None:
    assert scene.store.last_good(UID) is None
    secrets.there["agora-credentials"]["notificationSecret"] = " from the console\n"
    await scene.store.resolve(task_of(), started=False)
    reads = secrets.reads
    credentials = scene.store.last_good(UID)
    assert credentials is not None
    assert credentials.notification_secret is not None
    assert credentials.notification_secret.get_secret_value() == "from the console"
    assert "from the console" not in repr(credentials)
    assert secrets.reads == reads
    scene.store.forget(UID)
    assert scene.store.last_good(UID) is None


def test_the_notification_secret_gives_no_refusal_another_try() -> None:
    """It changes nothing that Agora is asked."""
    bare, signed = (
        credentials_of(spec(), {"agora-credentials": {**SECRET, **more}}) for more in ({}, {"notificationSecret": "x"})
    )
    assert bare.fingerprint == signed.fingerprint
