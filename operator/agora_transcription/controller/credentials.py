"""The Secrets of tasks: read on demand, kept for a while, and looked at again soon while they are of no use.

The operator may `get` a Secret that a task names, and neither list nor watch them: it sees no Secret that it has no use
for. So that a mended one is noticed within seconds all the same, those that stand in a task's way are read again every
`RECHECK_SECONDS`, once for all tasks that wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from agora_transcription import agora
from agora_transcription.api import Reason, TaskSpec, TranscriptionTask
from agora_transcription.controller.steps import Problem
from agora_transcription.controller.store import NotFound, Secret, Store, StoreError
from agora_transcription.controller.translate import ENCRYPTION_MODES, Credentials, StorageKeys, account_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["CredentialStore", "account_of", "credentials_of"]

FRESH_SECONDS: Final = 30.0
"""How long a Secret that was read is taken for current."""

RECHECK_SECONDS: Final = 2.0
"""How often a Secret that stands in a task's way is read again."""

HEX32: Final = re.compile(r"[0-9a-fA-F]{32}")
SALTED_MODES: Final = {"AES_128_GCM2", "AES_256_GCM2"}

Name = tuple[str, str]
"""Namespace and name."""

_Wanted = tuple[bool, str | None]
"""What `credentials_of` reads beyond the account: whether keys of a storage, and of an encryption in which mode."""

logger = logging.getLogger(__name__)


class SecretInvalid(ValueError):
    """A Secret's content cannot be used; the message names the keys, and never a value."""


def account_of(secret: Mapping[str, str]) -> agora.Account:
    """Read an account from a Secret's keys appId, customerId, customerSecret and, if there, appCertificate.

    Raises:
        SecretInvalid: When keys are missing, or a value cannot be right.
    """
    app_id, customer_id, customer_secret = _values(secret, "appId", "customerId", "customerSecret")
    if not HEX32.fullmatch(app_id):
        raise SecretInvalid("key appId must be the 32 hexadecimal digits of the project's App ID")
    certificate = secret.get("appCertificate", "").strip()
    if certificate and not HEX32.fullmatch(certificate):
        raise SecretInvalid("key appCertificate must be the project's 32 hexadecimal digits, or be left out")
    return agora.Account(
        app_id,
        customer_id,
        SecretStr(customer_secret),
        SecretStr(certificate) if certificate else None,
    )


def credentials_of(spec: TaskSpec, secrets: Mapping[str, Mapping[str, str]]) -> Credentials:
    """Read what a spec needs from its Secrets.

    Args:
        spec: Names the Secrets.
        secrets: Their contents, by name.

    Raises:
        SecretInvalid: As `account_of`; the message begins with the Secret's name.
    """
    name = spec.credentials_secret_ref.name
    try:
        account = account_of(secrets[name])
        notification = secrets[name].get("notificationSecret", "").strip()
        storage = None
        if spec.captions.storage is not None:
            name = spec.captions.storage.credentials_secret_ref.name
            storage = StorageKeys(*map(SecretStr, _values(secrets[name], "accessKey", "secretKey")))
        encryption = None
        if spec.encryption is not None:
            name = spec.encryption.secret_ref.name
            keys = ("secret", "salt") if spec.encryption.mode in SALTED_MODES else ("secret",)
            encryption = agora.Encryption(
                ENCRYPTION_MODES[spec.encryption.mode], *map(SecretStr, _values(secrets[name], *keys))
            )
    except SecretInvalid as error:
        raise SecretInvalid(f"{name}: {error}") from None
    return Credentials(account, storage, encryption, SecretStr(notification) if notification else None)


def secret_names(spec: TaskSpec) -> tuple[str, ...]:
    """The Secrets that a spec names, each once."""
    names = [spec.credentials_secret_ref.name]
    if spec.captions.storage is not None:
        names.append(spec.captions.storage.credentials_secret_ref.name)
    if spec.encryption is not None:
        names.append(spec.encryption.secret_ref.name)
    return tuple(dict.fromkeys(names))


@dataclass(slots=True)
class _Entry:
    """A Secret as it was last read, and who waits for it to change."""

    version: str | None = None
    data: Mapping[str, str] | None = None
    known: bool = False
    read_at: float = float("-inf")
    failed_at: float = float("-inf")
    failure: StoreError | None = None
    waiting: set[str] = field(default_factory=set)
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    understood: dict[_Wanted, tuple[str | None, Credentials]] = field(default_factory=dict)
    """What was read from this Secret alone, by what is wanted of it, and with the version for which that holds. What
    thousands of tasks share is so understood, and kept, once."""


class CredentialStore:
    """Reads and keeps the Secrets of tasks."""

    def __init__(
        self, store: Store, wake: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare an empty one.

        Args:
            store: Where Secrets are read.
            wake: Called with a waiting task's uid when a Secret it names has changed.
            clock: Seconds, steadily rising.
        """
        self._store = store
        self._wake = wake
        self._clock = clock
        self._entries: dict[Name, _Entry] = {}
        self._last_good: dict[str, Credentials] = {}

    async def resolve(self, task: TranscriptionTask, *, started: bool) -> tuple[Credentials | None, Problem | None]:
        """Read a task's credentials.

        Args:
            task: The object.
            started: Agora may run a task for it, which can only be reached in the project that it was started in.

        Returns:
            The credentials and None; or the last ones of this task that were good (None if there never were any), and
            why there are no current ones.

        Raises:
            StoreError: When the API server does not answer; a Secret that is not there is an answer.
        """
        namespace = task.metadata.namespace
        entries = {name: await self._entry((namespace, name)) for name in secret_names(task.spec)}
        for name, entry in entries.items():
            if entry.data is None:
                message = f"Secret {namespace}/{name} does not exist: create it"
                if name == task.spec.credentials_secret_ref.name:
                    message += " with the keys appId, customerId, customerSecret and, if enabled, appCertificate"
                return self._last_good.get(task.metadata.uid), Problem(Reason.SECRET_NOT_FOUND, message)
        try:
            credentials = _understood(task.spec, entries)
        except SecretInvalid as error:
            message = f"Secret {namespace}/{error}"
            return self._last_good.get(task.metadata.uid), Problem(Reason.SECRET_INVALID, message)
        retiring = task.status.retiring.account_hash if task.status.retiring else None
        if started and {task.status.account_hash, retiring} - {None, account_hash(credentials.account)}:
            secret = f"Secret {namespace}/{task.spec.credentials_secret_ref.name}"
            message = (
                f"{secret}: key appId is not that of the project in which the Agora task was started: "
                "put the former one back until the task is stopped (spec.suspend)"
            )
            return self._last_good.get(task.metadata.uid), Problem(Reason.SECRET_INVALID, message)
        self._last_good[task.metadata.uid] = credentials
        return credentials, None

    def last_good(self, uid: str) -> Credentials | None:
        """The last credentials of a task that were good; None if there never were any."""
        return self._last_good.get(uid)

    def doubt(self, task: TranscriptionTask) -> None:
        """Agora refuses a task's credentials: they may have been renewed since they were read."""
        for name in secret_names(task.spec):
            entry = self._entries.get((task.metadata.namespace, name))
            if entry is not None and self._clock() - entry.read_at > RECHECK_SECONDS:
                entry.read_at = float("-inf")

    def wait_for_change(self, task: TranscriptionTask) -> None:
        """Have a task woken once one of its Secrets changes."""
        for name in secret_names(task.spec):
            self._entries.setdefault((task.metadata.namespace, name), _Entry()).waiting.add(task.metadata.uid)

    def settle(self, task: TranscriptionTask) -> None:
        """A task waits for no Secret any more."""
        for name in secret_names(task.spec):
            if entry := self._entries.get((task.metadata.namespace, name)):
                entry.waiting.discard(task.metadata.uid)

    def forget(self, uid: str) -> None:
        """Drop what is kept for a task that is gone."""
        self._last_good.pop(uid, None)
        for entry in self._entries.values():
            entry.waiting.discard(uid)

    async def run(self) -> None:
        """Read the awaited Secrets again and again and wake whoever waits, until cancelled."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            for name, entry in list(self._entries.items()):
                if entry.waiting:
                    await self._recheck(name, entry)
                elif self._clock() - entry.read_at > 2 * FRESH_SECONDS:
                    del self._entries[name]

    async def _recheck(self, name: Name, entry: _Entry) -> None:
        before = entry.version
        try:
            async with entry.reading:
                await self._read(name, entry)
        except StoreError as error:
            logger.warning("Secret %s/%s cannot be read again: %s", *name, error)
            return
        if entry.version != before:
            waiting, entry.waiting = entry.waiting, set()
            for uid in waiting:
                self._wake(uid)

    async def _entry(self, name: Name) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            entry = self._entries[name] = _Entry()
        if self._clock() - entry.read_at > FRESH_SECONDS:
            async with entry.reading:
                if self._clock() - entry.read_at > FRESH_SECONDS:
                    await self._read_or_keep(name, entry)
        return entry

    async def _read_or_keep(self, name: Name, entry: _Entry) -> None:
        """Read a Secret that is due; while that fails, what was read before still counts.

        Raises:
            StoreError: When it has never been read. Those who wait for the same Secret fail with it, at once.
        """
        if entry.failure is None or self._clock() - entry.failed_at > RECHECK_SECONDS:
            try:
                await self._read(name, entry)
            except StoreError as error:
                entry.failure, entry.failed_at = error, self._clock()
                logger.warning("Secret %s/%s cannot be read: %s", *name, error)
        if entry.failure is not None and not entry.known:
            raise entry.failure

    async def _read(self, name: Name, entry: _Entry) -> None:
        try:
            secret: Secret | None = await self._store.secret(*name)
        except NotFound:
            secret = None
        entry.version, entry.data = (None, None) if secret is None else (secret.version, secret.data)
        entry.read_at, entry.failure, entry.known = self._clock(), None, True


def _understood(spec: TaskSpec, entries: Mapping[str, _Entry]) -> Credentials:
    """What `credentials_of` reads from Secrets that are there, or has read from the same one before."""
    contents = {name: entry.data or {} for name, entry in entries.items()}
    if len(entries) > 1:  # hardly shared: kept here, keys would outlive the tasks and Secrets that they are of
        return credentials_of(spec, contents)
    (entry,) = entries.values()
    wanted = (spec.captions.storage is not None, spec.encryption.mode if spec.encryption else None)
    if wanted not in entry.understood or entry.understood[wanted][0] != entry.version:
        entry.understood[wanted] = entry.version, credentials_of(spec, contents)
    return entry.understood[wanted][1]


def _values(secret: Mapping[str, str], *keys: str) -> list[str]:
    """The values of keys that have to be there; all that are not are named at once."""
    found = [secret.get(key, "").strip() for key in keys]
    missing = [key for key, value in zip(keys, found, strict=True) if not value]
    if missing:
        what = f"key {missing[0]} is" if len(missing) == 1 else f"keys {', '.join(missing)} are"
        raise SecretInvalid(f"{what} missing or empty")
    return found
