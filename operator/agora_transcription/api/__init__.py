"""The TranscriptionTask, as pydantic models: what users write, what the operator answers. No I/O.

`crds/transcriptiontasks.yaml` is the source of truth for the schema; a test compares the two field by field.
"""

from agora_transcription.api.conditions import (
    Condition,
    ConditionType,
    Reason,
    failed,
    merge_conditions,
    progressing,
    ready,
    retrying,
    stalled,
    uncertain,
)
from agora_transcription.api.spec import (
    Bot,
    Captions,
    DeletionPolicy,
    Encryption,
    RestartPolicy,
    Rollover,
    SecretRef,
    Storage,
    TaskSpec,
    Translation,
    TranslationPair,
    UidLanguages,
)
from agora_transcription.api.status import Applied, Ended, EndReason, Phase, TaskStatus
from agora_transcription.api.task import API_VERSION, FINALIZER, GROUP, KIND, PLURAL, VERSION, TranscriptionTask

__all__ = [
    "API_VERSION",
    "FINALIZER",
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "Applied",
    "Bot",
    "Captions",
    "Condition",
    "ConditionType",
    "DeletionPolicy",
    "Encryption",
    "EndReason",
    "Ended",
    "Phase",
    "Reason",
    "RestartPolicy",
    "Rollover",
    "SecretRef",
    "Storage",
    "TaskSpec",
    "TaskStatus",
    "TranscriptionTask",
    "Translation",
    "TranslationPair",
    "UidLanguages",
    "failed",
    "merge_conditions",
    "progressing",
    "ready",
    "retrying",
    "stalled",
    "uncertain",
]
