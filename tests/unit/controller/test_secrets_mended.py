"""A Secret that is put right helps at once, and one that is exchanged under a running task harms nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from agora_transcription import agora
from agora_transcription.agora import Dialect
from agora_transcription.controller import credentials
from agora_transcription.controller.store import Secret
from unit.controller.agora_model import _Api, fault
from unit.controller.builders import SECRET, UID, api_of

if TYPE_CHECKING:
    from unit.controller.agora_model import AgoraTask
    from unit.controller.scene import Scene

DIALECTS = pytest.mark.parametrize("dialect", list(Dialect))
OTHER_APP = {**SECRET, "appId": "f" * 32}

STORAGE: dict[str, Any] = {
    "captions": {
        "storage": {"vendor": "AmazonS3", "region": 3, "bucket": "b", "credentialsSecretRef": {"name": "special"}}
    }
}
ENCRYPTION: dict[str, Any] = {"encryption": {"mode": "AES_256_GCM2", "secretRef": {"name": "special"}}}
SALT = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
WRONG = "the-wrong-one"


def replace_secret(scene: Scene, data: dict[str, str]) -> None:
    """Somebody replaces the account's Secret, and it is read again."""
    scene.server.set_secret(data)
    scene.clock.advance(credentials.FRESH_SECONDS + 1)
    scene.process.queue.add(UID)


@DIALECTS
@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "next process"])
async def test_an_app_id_whose_start_was_refused_can_be_corrected(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, dialect: Dialect, *, restarted: bool
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise agora.ServiceNotEnabled("start", code=400, reason="invalid_appid")

    scene.server.set_secret(OTHER_APP)
    with monkeypatch.context() as disabled:
        disabled.setattr(scene.agora, "join", refuse)
        disabled.setattr(scene.agora, "start", refuse)
        scene.server.create(api_of(dialect), guarded=True)
        await scene.pass_time(10)
        assert scene.reason == "ServiceNotEnabled"
    if restarted and dialect is Dialect.V7:
        scene.restart()
    replace_secret(scene, SECRET)
    await scene.pass_time(10)
    assert scene.reason == "Running"
    assert [task.id for task in scene.agora.live()] == ["agora-1"]


async def test_a_builder_token_of_the_wrong_project_is_not_used(scene: Scene) -> None:
    """V6: it was acquired, and its start has never reached Agora."""
    scene.server.set_secret(OTHER_APP)
    scene.agora.spared, scene.agora.fault = {"acquire"}, fault(agora.NotSent)
    scene.server.create(api_of(Dialect.V6), guarded=True)
    await scene.process.work()
    assert scene.status.builder_token == "builder-token-1"
    replace_secret(scene, SECRET)
    await scene.pass_time(10)
    assert scene.agora.calls == ["acquire", "start", "acquire", "start"]
    assert scene.status.builder_token == "builder-token-2"
    assert scene.reason == "Running"


@DIALECTS
async def test_another_app_id_under_a_running_task_calls_nothing(scene: Scene, dialect: Dialect) -> None:
    await scene.running(**api_of(dialect))
    await scene.pass_time(10)
    before = list(scene.agora.calls)
    replace_secret(scene, OTHER_APP)
    scene.server.edit(languages=["de-DE"])
    await scene.pass_time(600)
    assert scene.reason == "SecretInvalid"
    assert scene.agora.calls == before
    assert scene.status.task_id == "agora-1"
    replace_secret(scene, SECRET)
    await scene.pass_time(10)
    assert scene.reason == "Running"
    assert scene.agora.tasks["agora-1"].settings.languages == ("de-DE",)
    assert list(scene.agora.tasks) == ["agora-1"]


async def test_another_app_id_after_a_start_that_may_be_out_calls_nothing(scene: Scene) -> None:
    scene.agora.fault = fault(agora.Ambiguous, effect=True)
    scene.server.create({}, guarded=True)
    await scene.process.work()
    assert scene.status.instance_id is not None
    replace_secret(scene, OTHER_APP)
    await scene.pass_time(60)
    assert scene.reason == "SecretInvalid"
    assert scene.agora.calls == ["start"]
    replace_secret(scene, SECRET)
    await scene.pass_time(10)
    assert scene.status.task_id == "agora-1"


class Rotation:
    """Agora takes one customer secret and refuses every other one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.valid = SECRET["customerSecret"]
        self.refused: list[str] = []
        update = _Api.update

        async def update_or_refuse(
            api: _Api, account: agora.Account, handle: agora.Handle, wanted: agora.Update
        ) -> agora.Observation:
            if account.customer_secret.get_secret_value() != self.valid:
                self.refused.append("update")
                raise agora.CredentialsRefused("update", code=401)
            return await update(api, account, handle, wanted)

        monkeypatch.setattr(_Api, "update", update_or_refuse)


def reasons_told(scene: Scene) -> list[str]:
    """Collect what Ready says from now on."""
    told: list[str] = []
    tell = scene.server.tell

    def listen(kind: str, body: dict[str, Any]) -> None:
        conditions = body["status"].get("conditions", [])
        told.extend(condition["reason"] for condition in conditions if condition["type"] == "Ready")
        tell(kind, body)

    scene.server.tell = listen
    return told


async def test_a_rotated_secret_is_read_again_before_anybody_is_told_that_the_old_one_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read a few seconds ago is not current any more once Agora refuses it."""
    rotation = Rotation(monkeypatch)
    await scene.running()
    await scene.pass_time(100)
    scene.server.edit(restartPolicy="Always")  # has the Secret read
    await scene.pass_time(3)
    scene.server.set_secret({**SECRET, "customerSecret": "renewed"})
    rotation.valid = "renewed"
    told = reasons_told(scene)
    scene.server.edit(languages=["de-DE"])
    await scene.pass_time(6)  # Agora's 5 seconds between two updates
    assert rotation.refused == ["update"], "the old one was in use until then"
    assert scene.agora.tasks["agora-1"].settings.languages == ("de-DE",)
    assert set(told) == {"Running", "Updating"}
    assert list(scene.agora.tasks) == ["agora-1"]


@DIALECTS
async def test_a_secret_that_is_deleted_first_does_not_keep_the_task_from_being_stopped(
    scene: Scene, dialect: Dialect
) -> None:
    """A namespace is deleted in any order: what this process has read is good enough for one more call."""
    await scene.running(**api_of(dialect))
    scene.server.set_secret(None)
    await scene.pass_time(credentials.FRESH_SECONDS + 60)
    assert scene.reason == "SecretNotFound"
    scene.server.request_deletion()
    await scene.pass_time(5)
    assert not scene.exists()
    assert scene.agora.live() == []
    assert scene.process.events.warnings == []


@DIALECTS
@pytest.mark.parametrize("returns", [False, True], ids=["for good", "for nine minutes"])
async def test_a_process_that_never_read_the_secret_waits_ten_minutes_and_names_the_task_that_it_leaves(
    scene: Scene, dialect: Dialect, *, returns: bool
) -> None:
    await scene.running(**api_of(dialect))
    scene.server.set_secret(None)
    scene.restart()
    scene.server.request_deletion()
    calls = list(scene.agora.calls)
    await scene.pass_time(540)
    assert scene.reason == "SecretNotFound"
    assert scene.agora.calls == calls
    if returns:
        replace_secret(scene, SECRET)
    await scene.pass_time(59)
    assert scene.exists() is not returns
    await scene.pass_time(5)
    assert not scene.exists()
    assert len(scene.agora.live()) == (0 if returns else 1)
    left = ["The Agora task agora-1 could not be stopped: it ends when idle, or with its lifetime"]
    assert scene.process.events.warnings == ([] if returns else left)


def special_secret(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Add a second Secret, as wrong as can be; answers its content, which may be changed."""
    content = dict.fromkeys(("accessKey", "secretKey", "secret"), WRONG) | {"salt": SALT}
    read = scene.server.secret

    async def secret(namespace: str, name: str) -> Secret:
        if name != "special":
            return await read(namespace, name)
        return Secret("/".join(content.values()), dict(content))

    monkeypatch.setattr(scene.server, "secret", secret)
    return content


@pytest.mark.parametrize(
    ("spec", "key"),
    [(STORAGE, "accessKey"), (STORAGE, "secretKey"), (ENCRYPTION, "secret"), (ENCRYPTION, "salt")],
    ids=["access key", "secret key", "channel secret", "salt"],
)
async def test_a_mended_storage_or_encryption_secret_is_tried_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any], key: str
) -> None:
    """Not a second passes on the operator's clock: only the Secrets are looked at again."""
    content = special_secret(scene, monkeypatch)
    wrong = dict(content)
    join = scene.agora.join

    def join_or_refuse(request: agora.StartRequest) -> AgoraTask:
        if content == wrong:
            raise agora.RequestRefused("start", code=400, text="this does not work")
        return join(request)

    monkeypatch.setattr(scene.agora, "join", join_or_refuse)
    monkeypatch.setattr(credentials, "RECHECK_SECONDS", 0.001)
    scene.server.create(spec, guarded=True)
    await scene.process.work()
    assert scene.reason == "RequestRefused"
    assert scene.agora.calls == ["start"]

    content[key] = f"{SALT[:-4]}AAA=" if key == "salt" else "the-right-one"
    looking = asyncio.create_task(scene.process.credentials.run())
    async with asyncio.timeout(5):
        while not scene.process.queue.is_dirty:
            await asyncio.sleep(0.001)
    looking.cancel()
    await asyncio.wait([looking])
    await scene.process.work()
    assert scene.status.task_id == "agora-1"
    assert scene.reason == "Running"
