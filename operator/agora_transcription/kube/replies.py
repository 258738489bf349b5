"""What the API server answers, or something in its place: an object, a page of objects, or a `StoreError`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio import client
from pydantic_core import from_json

from agora_transcription import USER_AGENT

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Body", "NotFound", "Outdated", "StoreError", "answer_of", "object_of", "page_of", "path_of"]

ANSWER_SECONDS: Final = 15.0
"""For an answer, once a request has a connection."""

CONNECTION_SECONDS: Final = 60.0
"""For a connection, waiting for one that is free included: a slow API server is no reason not to ask it at all."""

_TIMEOUT: Final = aiohttp.ClientTimeout(
    connect=CONNECTION_SECONDS, sock_connect=ANSWER_SECONDS, sock_read=ANSWER_SECONDS
)

_HEADERS: Final = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": USER_AGENT,
}
_PATCH_HEADERS: Final = _HEADERS | {"Content-Type": "application/merge-patch+json"}

IDENTITY: Final = ("namespace", "name", "uid", "resourceVersion")
"""What every namespaced object has."""

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


def path_of(*parts: str) -> str:
    """The path of these parts, whatever stands in them."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


async def answer_of(
    what: str,
    api: client.ApiClient,
    method: str,
    path: str,
    body: Body | None = None,
    *,
    query: Mapping[str, str | int] | None = None,
) -> object:
    """Make a request and read its answer.

    By the client's own request, and not by its method for each kind: those of the core group load every model that
    there is, which takes half a second and 24 MiB, and no model is used here.

    Args:
        what: Is said of it in an error.
        api: The client.
        method: Of HTTP; the body of a PATCH is a JSON merge patch (RFC 7386).
        path: From the root on, as of `path_of`.
        body: Sent as JSON.
        query: Parameters of the query.

    Raises:
        StoreError: When there is none, or not a good one.
    """
    headers = dict(_HEADERS if method != "PATCH" else _PATCH_HEADERS)
    url = f"{api.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
    try:
        for entry in (await api.configuration.auth_settings()).values():
            headers[entry["key"]] = entry["value"]
        answer = await api.rest_client.request(  # type: ignore[no-untyped-call]
            method, url, headers, body, _request_timeout=_TIMEOUT
        )
        response = answer.response
        text = await response.read()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise StoreError(what, None, str(error) or type(error).__name__) from error
    except client.ApiException as error:
        raise _error(what, error.status, str(error.reason)) from error
    if response.status < 300:  # noqa: PLR2004 - any success
        try:
            parsed: object = from_json(text)
        except ValueError as error:
            raise StoreError(what, response.status, "the answer is no JSON: a proxy may have made it") from error
        return parsed
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


def object_of(what: str, answer: object) -> Body:
    """See that an answer is an object of Kubernetes.

    Raises:
        StoreError: It is any other JSON.
    """
    body: Body = answer if isinstance(answer, dict) else {}
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not all(isinstance(metadata.get(name), str) for name in IDENTITY):
        raise StoreError(what, 200, "the answer is no object: a proxy may have made it")
    return body


def page_of(what: str, answer: object) -> tuple[list[Body], str | None]:
    """The objects of a page, and what the next one continues from; None for the last page.

    Raises:
        StoreError: It is any other JSON: to take it for an empty list would let all objects go.
    """
    items, metadata = (answer.get("items"), answer.get("metadata")) if isinstance(answer, dict) else (None, None)
    if not isinstance(items, list) or not isinstance(metadata, dict) or "resourceVersion" not in metadata:
        raise StoreError(what, 200, "the answer is no list: a proxy may have made it")
    return [object_of(what, item) for item in items], metadata.get("continue") or None
