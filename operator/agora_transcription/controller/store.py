"""The only door to Kubernetes: every request that the operator makes beyond kopf's watch.

Writes to an object carry the resourceVersion that they were decided on, so a decision on an old object never overwrites
a newer one: the API server answers 409, and the decision is made anew.
"""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
from kubernetes.aio import client

from agora_transcription.api import API_VERSION, FINALIZER, GROUP, KIND, PLURAL, VERSION, TranscriptionTask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

__all__ = [
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

MERGE_PATCH: Final = "application/merge-patch+json"
REQUEST_TIMEOUT: Final = 15.0
PAGE: Final = 500
IDENTITY: Final = ("namespace", "name", "uid", "resourceVersion")

logger = logging.getLogger(__name__)

Body = dict[str, Any]


class StoreError(Exception):
    """The API server could not be reached, or refused.

    Attributes:
        code: The HTTP status; None where no answer came.
    """

    def __init__(self, what: str, code: int | None, message: str) -> None:
        self.code = code
        super().__init__(f"{what}: {message}")


class Outdated(StoreError):
    """409: the object has changed since it was read."""


class NotFound(StoreError):
    """404 of Kubernetes' own: it does not exist, or no longer. A proxy's 404 is any other error."""


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

    async def event(self, task: TranscriptionTask, *, warning: bool, reason: str, message: str, now: str) -> None:
        """Post an event about an object."""
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
    """The store on a real API server, through the official client.

    The client's validating methods cost twice the CPU of those that leave the answer alone, so answers are read here.
    """

    def __init__(self, api: client.ApiClient, namespaces: tuple[str, ...] = ()) -> None:
        """Use a configured client.

        Args:
            api: Closed by whoever made it.
            namespaces: Where the watched objects are; empty for everywhere.
        """
        self._objects = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)
        self._namespaces = namespaces

    async def get(self, namespace: str, name: str) -> Body:
        """See `Store.get`."""
        what = f"get {PLURAL} {namespace}/{name}"
        call = self._objects.get_namespaced_custom_object_without_preload_content
        return _object(what, await _answer(what, call, **_names(namespace, name)))

    async def all(self) -> AsyncIterator[Body]:
        """See `Store.all`."""
        for namespace in self._namespaces or (None,):
            more: str | None = ""
            while more is not None:
                page: Body = {"limit": PAGE} | ({"_continue": more} if more else {})
                if namespace is None:
                    call: Callable[..., Awaitable[Any]] = (
                        self._objects.list_cluster_custom_object_without_preload_content
                    )
                else:
                    call = self._objects.list_namespaced_custom_object_without_preload_content
                    page["namespace"] = namespace
                what = f"list {PLURAL}"
                answer = await _answer(what, call, group=GROUP, version=VERSION, plural=PLURAL, **page)
                items, more = _list(what, answer)
                for item in items:
                    yield item

    async def write_status(self, task: TranscriptionTask, patch: Body) -> Body:
        """See `Store.write_status`."""
        return await self._patch(
            task,
            self._objects.patch_namespaced_custom_object_status_without_preload_content,
            {"metadata": _version(task), "status": patch},
        )

    async def write_finalizers(self, task: TranscriptionTask, finalizers: tuple[str, ...]) -> Body:
        """See `Store.write_finalizers`."""
        return await self._patch(
            task,
            self._objects.patch_namespaced_custom_object_without_preload_content,
            {"metadata": _version(task) | {"finalizers": list(finalizers)}},
        )

    async def delete(self, task: TranscriptionTask) -> None:
        """See `Store.delete`."""
        await _answer(
            f"delete {PLURAL} {task.key}",
            self._objects.delete_namespaced_custom_object_without_preload_content,
            **_names(task.metadata.namespace, task.metadata.name),
            body={"preconditions": {"uid": task.metadata.uid, "resourceVersion": task.metadata.resource_version}},
        )

    async def secret(self, namespace: str, name: str) -> Secret:
        """See `Store.secret`."""
        what, call = f"get secret {namespace}/{name}", self._core.read_namespaced_secret_without_preload_content
        secret = _object(what, await _answer(what, call, namespace=namespace, name=name))
        metadata, data = secret["metadata"], secret.get("data")
        version = f"{metadata['uid']}/{metadata['resourceVersion']}"
        return Secret(version, _decoded(data) if isinstance(data, dict) else {})

    async def event(self, task: TranscriptionTask, *, warning: bool, reason: str, message: str, now: str) -> None:
        """See `Store.event`."""
        namespace = task.metadata.namespace
        await _answer(
            f"create event in {namespace}",
            self._core.create_namespaced_event_without_preload_content,
            namespace=namespace,
            body={
                "metadata": {"generateName": f"{task.metadata.name[:200]}.", "namespace": namespace},
                "involvedObject": {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "namespace": namespace,
                    "name": task.metadata.name,
                    "uid": task.metadata.uid,
                    "resourceVersion": task.metadata.resource_version,
                },
                "type": "Warning" if warning else "Normal",
                "reason": reason,
                "message": message,
                "source": {"component": COMPONENT},
                "reportingComponent": COMPONENT,
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
            },
        )

    async def _patch(self, task: TranscriptionTask, call: Callable[..., Awaitable[Any]], body: Body) -> Body:
        what = f"patch {PLURAL} {task.key}"
        answer = await _answer(
            what,
            call,
            **_names(task.metadata.namespace, task.metadata.name),
            body=body,
            field_manager=COMPONENT,
            _content_type=MERGE_PATCH,
        )
        return _object(what, answer)


def with_finalizer(task: TranscriptionTask) -> tuple[str, ...]:
    """The object's finalizers and the operator's."""
    return (*task.metadata.finalizers, FINALIZER)


def without_finalizer(task: TranscriptionTask) -> tuple[str, ...]:
    """The object's finalizers less the operator's."""
    return tuple(finalizer for finalizer in task.metadata.finalizers if finalizer != FINALIZER)


def _names(namespace: str, name: str) -> dict[str, str]:
    return {"group": GROUP, "version": VERSION, "plural": PLURAL, "namespace": namespace, "name": name}


def _version(task: TranscriptionTask) -> Body:
    return {"resourceVersion": task.metadata.resource_version}


def _object(what: str, answer: object) -> Body:
    """See that an answer is an object of Kubernetes.

    Raises:
        StoreError: It is any other JSON.
    """
    body: Body = answer if isinstance(answer, dict) else {}
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not all(isinstance(metadata.get(name), str) for name in IDENTITY):
        raise StoreError(what, 200, "the answer is no object: a proxy may have made it")
    return body


def _list(what: str, answer: object) -> tuple[list[Body], str | None]:
    """The objects of a page, and what the next one continues from; None for the last page.

    Raises:
        StoreError: It is any other JSON: to take it for an empty list would let all objects go.
    """
    items, metadata = (answer.get("items"), answer.get("metadata")) if isinstance(answer, dict) else (None, None)
    if not isinstance(items, list) or not isinstance(metadata, dict) or "resourceVersion" not in metadata:
        raise StoreError(what, 200, "the answer is no list: a proxy may have made it")
    return [_object(what, item) for item in items], metadata.get("continue") or None


def _decoded(data: Mapping[str, str]) -> dict[str, str]:
    decoded = {}
    for key, value in data.items():
        try:
            decoded[key] = base64.b64decode(value, validate=True).decode()
        except (ValueError, TypeError):
            logger.debug("The value of a Secret's key %s is no text", key)
    return decoded


async def _answer(what: str, call: Callable[..., Awaitable[Any]], **arguments: Any) -> object:  # noqa: ANN401 - the client's own
    """Make a request and read its answer.

    Raises:
        StoreError: When there is none, or not a good one.
    """
    try:
        response = await call(**arguments, _request_timeout=REQUEST_TIMEOUT)
        text = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise StoreError(what, None, str(error) or type(error).__name__) from error
    except client.ApiException as error:
        raise _error(what, error.status, str(error.reason)) from error
    if response.status < 300:  # noqa: PLR2004 - any success
        try:
            body: object = json.loads(text)
        except ValueError as error:
            raise StoreError(what, response.status, "the answer is no JSON: a proxy may have made it") from error
        return body
    raise _error(what, response.status, _message(text))


def _error(what: str, code: int | None, message: str | None) -> StoreError:
    kind = {404: NotFound, 409: Outdated}.get(code or 0, StoreError) if message is not None else StoreError
    return kind(what, code, f"{code} {'no explanation' if message is None else message}")


def _message(text: bytes) -> str | None:
    """What Kubernetes says in the `Status` that each of its failures is; None if this is none."""
    try:
        body = json.loads(text)
        return str(body["message"]) if body["kind"] == "Status" else None
    except (ValueError, KeyError, TypeError):
        return None
