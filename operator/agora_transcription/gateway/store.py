"""The only door to Kubernetes: three requests, which are the rights that the gateway has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from kubernetes.aio import client

from agora_transcription.api import GROUP, PLURAL, VERSION
from agora_transcription.kube.replies import Body, answer_of, object_of

if TYPE_CHECKING:
    from agora_transcription.api import TranscriptionTask

__all__ = ["KubernetesTaskStore", "TaskStore"]

COMPONENT: Final = "agora-transcription-gateway"
"""The field manager."""


class TaskStore(Protocol):
    """What the gateway needs of Kubernetes. Every method raises a `StoreError` and nothing else."""

    async def get(self, name: str) -> Body:
        """Read an object as the API server has it now."""
        ...

    async def create(self, body: Body) -> Body:
        """Create an object; `Outdated` where one of that name exists."""
        ...

    async def delete(self, task: TranscriptionTask, *, unchanged: bool) -> None:
        """Delete exactly this object; if asked to, only while it is as it was read. Else `Outdated`."""
        ...


class KubernetesTaskStore:
    """The store on a real API server, in one namespace."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        """Use a configured client, which whoever made it closes."""
        self._objects = client.CustomObjectsApi(api)
        self._where: dict[str, Any] = {"group": GROUP, "version": VERSION, "plural": PLURAL, "namespace": namespace}

    async def get(self, name: str) -> Body:
        """See `TaskStore.get`."""
        what, call = f"get {PLURAL} {name}", self._objects.get_namespaced_custom_object_without_preload_content
        return object_of(what, await answer_of(what, call, **self._where, name=name))

    async def create(self, body: Body) -> Body:
        """See `TaskStore.create`."""
        what = f"create {PLURAL} {body['metadata']['name']}"
        call = self._objects.create_namespaced_custom_object_without_preload_content
        return object_of(what, await answer_of(what, call, **self._where, body=body, field_manager=COMPONENT))

    async def delete(self, task: TranscriptionTask, *, unchanged: bool) -> None:
        """See `TaskStore.delete`."""
        preconditions = {"uid": task.metadata.uid}
        if unchanged:
            preconditions["resourceVersion"] = task.metadata.resource_version
        await answer_of(
            f"delete {PLURAL} {task.key}",
            self._objects.delete_namespaced_custom_object_without_preload_content,
            **self._where,
            name=task.metadata.name,
            body={"preconditions": preconditions},
        )
