"""What is said to Agora and what it answers, in terms that both dialects share.

The dialects (`v6`, `v7`) translate these into request bodies and back. Nothing here knows of Kubernetes or of the
TranscriptionTask: whoever calls Agora maps its own terms onto these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pydantic import SecretStr

__all__ = [
    "Account",
    "Agora",
    "Captions",
    "Dialect",
    "Encryption",
    "Field",
    "Handle",
    "ListedTask",
    "LiveSettings",
    "More",
    "Observation",
    "StartRequest",
    "State",
    "Storage",
    "Translation",
    "TranslationPair",
    "UidLanguages",
    "Update",
    "at_once",
]


class Dialect(StrEnum):
    """The two REST APIs that Agora has published for the same service."""

    V6 = "V6"
    """acquire, start, query, PATCH update, DELETE stop: a task is a taskId and the builderToken that started it."""
    V7 = "V7"
    """join, query, update, leave, list: a task is an agent_id, and its name tells a repeated join from a new one."""


class State(Enum):
    """What a status of either dialect means for whoever keeps a task running."""

    STARTING = "starting"
    """Not yet transcribing, on its way there. Unknown values count here too: they are reported, not acted upon."""
    ACTIVE = "active"
    """Transcribing."""
    RECOVERING = "recovering"
    """Alive and billed, and Agora is mending it: left alone."""
    STOPPING = "stopping"
    """On its way out, and still there."""
    STOPPED = "stopped"
    """Ended without a failure: by a stop, by idleness, or at the end of its lifetime."""
    FAILED = "failed"
    """Ended by a failure."""

    @property
    def ended(self) -> bool:
        """Whether nothing runs and nothing is billed any more."""
        return self in {State.STOPPED, State.FAILED}


class Field(StrEnum):
    """The fields that Agora can change on a running task; the values are their names in the TranscriptionTask."""

    LANGUAGES = "languages"
    SUBSCRIBE_AUDIO_UIDS = "subscribeAudioUids"
    UID_LANGUAGES = "uidLanguages"
    TRANSLATION = "translation"


@dataclass(frozen=True, slots=True)
class Account:
    """An Agora project with the customer credentials that may control it.

    Attributes:
        app_id: The project's App ID, 32 hexadecimal digits.
        customer_id: The user name of the REST API's basic authentication.
        customer_secret: Its password.
        app_certificate: Signs RTC tokens, 32 hexadecimal digits; None for a project that has none enabled.
        fingerprint: A digest that changes when any credential does, and from which none can be read.
    """

    app_id: str
    customer_id: str
    customer_secret: SecretStr
    app_certificate: SecretStr | None = None
    fingerprint: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the digest once: every decision and every call asks for it."""
        secrets = [self.app_id, self.customer_id, self.customer_secret.get_secret_value()]
        if self.app_certificate is not None:
            secrets.append(self.app_certificate.get_secret_value())
        object.__setattr__(self, "fingerprint", hashlib.sha256("\0".join(secrets).encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class UidLanguages:
    """The languages of one speaker."""

    uid: str
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TranslationPair:
    """One spoken language and those that it is translated into."""

    source: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Translation:
    """Whether Agora translates, and what into what."""

    enabled: bool
    languages: tuple[TranslationPair, ...]


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """The settings of a task that Agora can change while it runs.

    Attributes:
        languages: 1 to 4 spoken languages.
        subscribe_audio_uids: The speakers, numeric UIDs as strings; None for all of them.
        uid_languages: Per-speaker languages; empty for none.
        translation: None for a task that never had any; to switch one off, disable it and keep its languages, which
            V6 wants to hear again.
    """

    languages: tuple[str, ...]
    subscribe_audio_uids: tuple[str, ...] | None = None
    uid_languages: tuple[UidLanguages, ...] = ()
    translation: Translation | None = None


@dataclass(frozen=True, slots=True)
class Storage:
    """Where Agora uploads captions to.

    Attributes:
        vendor: Agora's number of the storage vendor.
        region: Agora's number of the vendor's region.
        bucket: The bucket's name.
        access_key: Read from a Secret.
        secret_key: Read from a Secret.
        file_name_prefix: Folders inside the bucket.
        endpoint: The full URL of an S3-compatible store (vendor 11); None for the others.
    """

    vendor: int
    region: int
    bucket: str
    access_key: SecretStr
    secret_key: SecretStr
    file_name_prefix: tuple[str, ...] = ()
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Captions:
    """How captions are sent and kept.

    Attributes:
        json_protocol: Gzip-compressed JSON in the data stream instead of protobuf.
        slice_seconds: Length of a stored caption file, 5 to 28800 s.
        storage: None where nothing is stored.
    """

    json_protocol: bool = False
    slice_seconds: int = 60
    storage: Storage | None = None


@dataclass(frozen=True, slots=True)
class Encryption:
    """The channel's encryption, which the bot has to match.

    Attributes:
        mode: Agora's number, 1 to 8.
        secret: The channel's encryption key.
        salt: base64 of 32 bytes, for the GCM2 modes 7 and 8 only.
    """

    mode: int
    secret: SecretStr
    salt: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class StartRequest:
    """Everything a task is started with.

    Attributes:
        name: Unique among the project's tasks, 1 to 64 of `[A-Za-z0-9_-]`. V7 tells a repeated join by it; V6 takes it
            as the instanceId when the builderToken is acquired.
        channel: The channel to transcribe.
        settings: What can be changed later.
        idle_timeout_seconds: Agora ends the task after so long without a host or user in the channel.
        bot_uid: Joins the channel and sends the captions: 1 to 2^32-1, as a string.
        bot_token: RTC token for the channel and `bot_uid`; None for a project without a certificate.
        subscriber_uid: V6 needs a second bot that listens; V7 only takes one where it is asked for.
        subscriber_token: RTC token for the channel and `subscriber_uid`.
        unsubscribe_audio_uids: Speakers left out, at most 5.
        keywords: Words to recognise better, V7 only, at most 500.
        captions: Format and storage.
        encryption: None for an unencrypted channel.
    """

    name: str
    channel: str
    settings: LiveSettings
    idle_timeout_seconds: int
    bot_uid: str
    bot_token: SecretStr | None = None
    subscriber_uid: str | None = None
    subscriber_token: SecretStr | None = None
    unsubscribe_audio_uids: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    captions: Captions = field(default_factory=Captions)
    encryption: Encryption | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """A change of a running task.

    Attributes:
        sequence_id: Strictly greater than that of every earlier update of this task, and at least 0.
        fields: What is replaced, each as a whole; the rest of `settings` is left alone.
        settings: The wanted settings.
    """

    sequence_id: int
    fields: frozenset[Field]
    settings: LiveSettings


@dataclass(frozen=True, slots=True)
class Handle:
    """What names a task to Agora: the taskId (V7: agent_id), and on V6 the builderToken that started it."""

    task_id: str
    builder_token: SecretStr | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """A task as Agora answered it in a 200, and only in a 200.

    Attributes:
        task_id: Its taskId or agent_id.
        status: Agora's word for it, as sent: `RUNNING`, `IN_PROGRESS`.
        state: What the word means.
        message: Agora's free text, for people; empty where there is none.
        created: When Agora created it; None where the answer leaves that out.
    """

    task_id: str
    status: str
    state: State
    message: str = ""
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A row of V7's list, which carries neither name nor channel."""

    task_id: str
    status: str
    started: datetime | None


More = Callable[[], Awaitable[None]]
"""Waits until one more page of a list may be asked for."""


async def at_once() -> None:
    """Ask for the next page without waiting."""


class Agora(Protocol):
    """One dialect of Agora's API. Every method raises an `AgoraError` and nothing else."""

    @property
    def dialect(self) -> Dialect:
        """Which one."""
        ...

    async def acquire(self, account: Account, instance_id: str) -> SecretStr | None:
        """V6: get a builderToken, which starts one task within 5 minutes. V7 has none: None, without a call."""
        ...

    async def start(self, account: Account, request: StartRequest, builder_token: SecretStr | None) -> Observation:
        """Start a task; repeated with the same name (V7) or token (V6) it raises `Conflict` instead of a second one."""
        ...

    async def query(self, account: Account, handle: Handle) -> Observation:
        """Read a task's status; raises `Gone` when Agora does not know it any more."""
        ...

    async def update(self, account: Account, handle: Handle, update: Update) -> Observation:
        """Change a running task; not within 5 s of its start or of its last update."""
        ...

    async def stop(self, account: Account, handle: Handle) -> None:
        """Stop a task; raises `Gone` when it has ended already, which is as good."""
        ...

    async def list_live(
        self, account: Account, channel: str | None, since: datetime, more: More = at_once
    ) -> Sequence[ListedTask]:
        """V7: the tasks that have not ended, started at or after `since`. V6 raises `NotSupported`.

        All of them or none: a list that is known to lack something is an `Upstream`.

        Args:
            account: Whose tasks.
            channel: Only those of this channel; None for all of the project.
            since: Agora's own default would be a day ago.
            more: Awaited before each page but the first.
        """
        ...

    async def list_running(self, account: Account, since: datetime, more: More = at_once) -> Sequence[ListedTask]:
        """V7: the tasks of the project that are RUNNING, a hundred with each call; else as `list_live`."""
        ...
