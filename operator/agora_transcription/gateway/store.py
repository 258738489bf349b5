"""The only door to Kubernetes: three requests, which are the rights that the gateway has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from agora_transcription.api import GROUP, PLURAL, VERSION
from agora_transcription.kube.replies import Body, answer_of, object_of, path_of

if TYPE_CHECKING:
    from kubernetes.aio import client

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
        self._api = api
        self._all = ("apis", GROUP, VERSION, "namespaces", namespace, PLURAL)

    async def get(self, name: str) -> Body:
        """See `TaskStore.get`."""
        what = f"get {PLURAL} {name}"
        return object_of(what, await answer_of(what, self._api, "GET", path_of(*self._all, name)))

    async def create(self, body: Body) -> Body:
        """See `TaskStore.create`."""
        what = f"create {PLURAL} {body['metadata']['name']}"
        path = path_of(*self._all)
        return object_of(what, await answer_of(what, self._api, "POST", path, body, query={"fieldManager": COMPONENT}))

    async def delete(self, task: TranscriptionTask, *, unchanged: bool) -> None:
        """See `TaskStore.delete`."""
        preconditions = {"uid": task.metadata.uid}
        if unchanged:
            preconditions["resourceVersion"] = task.metadata.resource_version
        path = path_of(*self._all, task.metadata.name)
        await answer_of(f"delete {PLURAL} {task.key}", self._api, "DELETE", path, {"preconditions": preconditions})
