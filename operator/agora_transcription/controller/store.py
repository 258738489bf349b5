"""The only door to objects in Kubernetes: every request about them that the operator makes beyond kopf's watch.

The Lease (`lease.py`) and the question whether there is a CRD (`discovery.py`) have their own.

Writes to an object carry the resourceVersion that they were decided on, so a decision on an old object never overwrites
a newer one: the API server answers 409, and the decision is made anew.
"""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from agora_transcription.api import API_VERSION, FINALIZER, GROUP, KIND, PLURAL, VERSION, TranscriptionTask
from agora_transcription.kube.replies import (
    Body,
    NotFound,
    Outdated,
    StoreError,
    answer_of,
    object_of,
    page_of,
    path_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from kubernetes.aio import client

    from agora_transcription.api import Metadata

__all__ = [
    "Body",
    "KubernetesStore",
    "NotFound",
    "Outdated",
    "Secret",
    "Store",
    "StoreError",
    "merge_patch",
    "with_finalizer",
    "without_finalizer",
]

COMPONENT: Final = "agora-transcription-operator"
"""The field manager of writes and the source of events."""

PAGE: Final = 500

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Secret:
    """A Secret as it was read.

    Attributes:
        version: Its uid and resourceVersion: differs whenever the content may.
        data: Key to decoded value; a value that is no UTF-8 is left out.
    """

    version: str
    data: Mapping[str, str]


class Store(Protocol):
    """What the reconciler needs of Kubernetes. Every method raises a `StoreError` and nothing else."""

    async def get(self, namespace: str, name: str) -> Body:
        """Read an object as the API server has it now."""
        ...

    def all(self) -> AsyncIterator[Body]:
        """Read all watched objects, page by page."""
        ...

    async def write_status(self, task: TranscriptionTask, patch: Body) -> Body:
        """Merge a patch into the status of exactly this version of an object; answers the new one."""
        ...

    async def write_finalizers(self, task: TranscriptionTask, finalizers: tuple[str, ...]) -> Body:
        """Replace the finalizers of exactly this version of an object; answers the new one."""
        ...

    async def delete(self, task: TranscriptionTask) -> None:
        """Delete exactly this version of an object."""
        ...

    async def secret(self, namespace: str, name: str) -> Secret:
        """Read a Secret."""
        ...

    async def event(self, about: Metadata, *, warning: bool, reason: str, message: str, now: str) -> None:
        """Post an event about the object of this metadata."""
        ...


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Body:
    """Make the JSON merge patch (RFC 7386) that turns one object into the other; empty if they are equal."""
    patch: Body = {name: None for name in before if name not in after}
    for name, value in after.items():
        earlier = before.get(name)
        if isinstance(value, dict) and isinstance(earlier, dict):
            if inner := merge_patch(earlier, value):
                patch[name] = inner
        elif value != earlier:
            patch[name] = value
    return patch


class KubernetesStore:
    """The store on a real API server, through the official client."""

    def __init__(self, api: client.ApiClient, namespaces: tuple[str, ...] = ()) -> None:
        """Use a configured client.

        Args:
            api: Closed by whoever made it.
            namespaces: Where the watched objects are; empty for everywhere.
        """
        self._api = api
        self._namespaces = namespaces

    async def get(self, namespace: str, name: str) -> Body:
        """See `Store.get`."""
        what = f"get {PLURAL} {namespace}/{name}"
        return object_of(what, await answer_of(what, self._api, "GET", _path(namespace, name)))

    async def all(self) -> AsyncIterator[Body]:
        """See `Store.all`."""
        what = f"list {PLURAL}"
        paths = [_path(namespace) for namespace in self._namespaces] or [path_of("apis", GROUP, VERSION, PLURAL)]
        for path in paths:
            more: str | None = ""
            while more is not None:
                query: dict[str, str | int] = {"limit": PAGE} | ({"continue": more} if more else {})
                items, more = page_of(what, await answer_of(what, self._api, "GET", path, query=query))
                for item in items:
                    yield item

    async def write_status(self, task: TranscriptionTask, patch: Body) -> Body:
        """See `Store.write_status`."""
        return await self._patch(task, {"metadata": _version(task), "status": patch}, "status")

    async def write_finalizers(self, task: TranscriptionTask, finalizers: tuple[str, ...]) -> Body:
        """See `Store.write_finalizers`."""
        return await self._patch(task, {"metadata": _version(task) | {"finalizers": list(finalizers)}})

    async def delete(self, task: TranscriptionTask) -> None:
        """See `Store.delete`."""
        body = {"preconditions": {"uid": task.metadata.uid, "resourceVersion": task.metadata.resource_version}}
        path = _path(task.metadata.namespace, task.metadata.name)
        await answer_of(f"delete {PLURAL} {task.key}", self._api, "DELETE", path, body)

    async def secret(self, namespace: str, name: str) -> Secret:
        """See `Store.secret`."""
        what = f"get secret {namespace}/{name}"
        path = path_of("api", "v1", "namespaces", namespace, "secrets", name)
        secret = object_of(what, await answer_of(what, self._api, "GET", path))
        metadata, data = secret["metadata"], secret.get("data")
        version = f"{metadata['uid']}/{metadata['resourceVersion']}"
        return Secret(version, _decoded(data) if isinstance(data, dict) else {})

    async def event(self, about: Metadata, *, warning: bool, reason: str, message: str, now: str) -> None:
        """See `Store.event`."""
        namespace = about.namespace
        body = {
            "metadata": {"generateName": f"{about.name[:200]}.", "namespace": namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": namespace,
                "name": about.name,
                "uid": about.uid,
                "resourceVersion": about.resource_version,
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        path = path_of("api", "v1", "namespaces", namespace, "events")
        await answer_of(f"create event in {namespace}", self._api, "POST", path, body)

    async def _patch(self, task: TranscriptionTask, body: Body, *subresource: str) -> Body:
        what = f"patch {PLURAL} {task.key}"
        path = _path(task.metadata.namespace, task.metadata.name, *subresource)
        answer = await answer_of(what, self._api, "PATCH", path, body, query={"fieldManager": COMPONENT})
        return object_of(what, answer)


def with_finalizer(task: TranscriptionTask) -> tuple[str, ...]:
    """The object's finalizers and the operator's."""
    return (*task.metadata.finalizers, FINALIZER)


def without_finalizer(task: TranscriptionTask) -> tuple[str, ...]:
    """The object's finalizers less the operator's."""
    return tuple(finalizer for finalizer in task.metadata.finalizers if finalizer != FINALIZER)


def _path(namespace: str, *more: str) -> str:
    return path_of("apis", GROUP, VERSION, "namespaces", namespace, PLURAL, *more)


def _version(task: TranscriptionTask) -> Body:
    return {"resourceVersion": task.metadata.resource_version}


def _decoded(data: Mapping[str, str]) -> dict[str, str]:
    decoded = {}
    for key, value in data.items():
        try:
            decoded[key] = base64.b64decode(value, validate=True).decode()
        except (ValueError, TypeError):
            logger.debug("The value of a Secret's key %s is no text", key)
    return decoded
