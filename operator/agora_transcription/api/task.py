"""The TranscriptionTask as a whole, and the names under which Kubernetes knows it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from agora_transcription.api.base import Model
from agora_transcription.api.spec import TaskSpec
from agora_transcription.api.status import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["API_VERSION", "FINALIZER", "GROUP", "KIND", "PLURAL", "VERSION", "Metadata", "TranscriptionTask"]

GROUP = "transcription.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TranscriptionTask"
PLURAL = "transcriptiontasks"
FINALIZER = f"{GROUP}/agora-task"
"""Stands in an object's metadata from before the first call to Agora until its task is known to be stopped."""


class Metadata(Model):
    """The part of `metadata` that matters here."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int = 1
    creation_timestamp: datetime
    deletion_timestamp: datetime | None = None
    finalizers: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`namespace/name`, as logs and messages name it."""
        return f"{self.namespace}/{self.name}"


class TranscriptionTask(Model):
    """One object as the API server last gave it."""

    metadata: Metadata
    spec: TaskSpec
    status: Annotated[TaskStatus, Field(default_factory=TaskStatus)]

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> TranscriptionTask:
        """Read an object's JSON.

        Raises:
            pydantic.ValidationError: When it does not fit, which the CRD excludes for objects that it has checked.
        """
        return cls.model_validate(body)

    @property
    def key(self) -> str:
        """`namespace/name`, as logs and messages name it."""
        return self.metadata.key

    @property
    def deleting(self) -> bool:
        """Whether deletion has been asked for."""
        return self.metadata.deletion_timestamp is not None

    @property
    def guarded(self) -> bool:
        """Whether the operator's finalizer is there: only then may Agora be called."""
        return FINALIZER in self.metadata.finalizers
