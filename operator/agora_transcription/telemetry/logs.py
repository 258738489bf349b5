"""Log lines as text for people or as JSON for machines, each with the object it is about as a field.

Credentials are kept out by construction: they are `SecretStr` from the Secret to the request, and the libraries that
would print a URL or a header with one in it are silenced below WARNING.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["ObjectLogger", "configure"]

QUIET: Final = (
    "httpx",
    "httpcore",
    "aiohttp",
    "urllib3",
    "kubernetes",
    "asyncio",
    "kopf.objects",
    "kopf.activities",
    "websockets",
    "socketio",
    "engineio",
)
"""Their INFO and DEBUG lines say nothing that ours do not, or say it with a URL, a key or what was sent."""


class ObjectLogger(logging.LoggerAdapter[logging.Logger]):
    """Says with every line which object it is about."""

    def __init__(self, logger: logging.Logger, namespace: str, name: str, uid: str) -> None:
        super().__init__(logger, {"object": {"namespace": namespace, "name": name, "uid": uid}})

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:  # noqa: ANN401 - as declared there
        """Hand the object on to the formatter."""
        kwargs["extra"] = self.extra
        return msg, kwargs


def configure(form: str, level: str) -> None:
    """Set up logging to stderr.

    Args:
        form: `text` or `json`.
        level: The least severe level shown, in lower case.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _moment(record: logging.LogRecord) -> str:
    moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        about = getattr(record, "object", None)
        where = f" [{about['namespace']}/{about['name']}]" if about else ""
        line = f"{_moment(record)} {record.levelname}{where} {record.getMessage()}"
        return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "timestamp": _moment(record),
            "severity": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if about := getattr(record, "object", None):
            entry["object"] = about
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)
