"""Agora's REST API for real-time speech-to-text: one Protocol, two dialects, and what goes wrong sorted by what to do.

    async with AgoraClient(observe=count) as client:
        agora = client.dialect(Dialect.V7)
        await budgets.admit(account, Priority.START_STOP)
        task = await agora.start(account, request, None)

Nothing here knows of Kubernetes or of the TranscriptionTask. `models` and `errors` are the terms, `client` is the
connection, `v6` and `v7` translate (with `bodies` and `calls`), `answers` and `explanations` read what comes back,
`budget` says when a call may be made, and `tokens` mints what the bots join with.
"""

from __future__ import annotations

from agora_transcription.agora.answers import state_of
from agora_transcription.agora.budget import Budgets, CircuitOpen, Priority
from agora_transcription.agora.client import BASE_URL, AgoraClient, Observe
from agora_transcription.agora.errors import (
    AgoraError,
    Ambiguous,
    Busy,
    Conflict,
    CredentialsRefused,
    Gone,
    NotPermitted,
    NotSent,
    NotSupported,
    QuotaExceeded,
    Refused,
    RequestRefused,
    ServiceNotEnabled,
    Throttled,
    TokenRefused,
    Upstream,
)
from agora_transcription.agora.models import (
    Account,
    Agora,
    Captions,
    Dialect,
    Encryption,
    Field,
    Handle,
    ListedTask,
    LiveSettings,
    More,
    Observation,
    StartRequest,
    State,
    Storage,
    Translation,
    TranslationPair,
    UidLanguages,
    Update,
    at_once,
)
from agora_transcription.agora.tokens import (
    MAX_LIFETIME_SECONDS,
    MalformedCredentialError,
    Project,
    TokenVersion,
    mint_rtc_token,
)

__all__ = [
    "BASE_URL",
    "MAX_LIFETIME_SECONDS",
    "Account",
    "Agora",
    "AgoraClient",
    "AgoraError",
    "Ambiguous",
    "Budgets",
    "Busy",
    "Captions",
    "CircuitOpen",
    "Conflict",
    "CredentialsRefused",
    "Dialect",
    "Encryption",
    "Field",
    "Gone",
    "Handle",
    "ListedTask",
    "LiveSettings",
    "MalformedCredentialError",
    "More",
    "NotPermitted",
    "NotSent",
    "NotSupported",
    "Observation",
    "Observe",
    "Priority",
    "Project",
    "QuotaExceeded",
    "Refused",
    "RequestRefused",
    "ServiceNotEnabled",
    "StartRequest",
    "State",
    "Storage",
    "Throttled",
    "TokenRefused",
    "TokenVersion",
    "Translation",
    "TranslationPair",
    "UidLanguages",
    "Update",
    "Upstream",
    "at_once",
    "mint_rtc_token",
    "state_of",
]
