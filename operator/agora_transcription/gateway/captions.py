"""The captions page: static files that `make page` has built, and what they need to know of this gateway.

Nothing in them is secret, and nobody needs a key for them: the page asks for one, and sends it with each call.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

from agora_transcription.gateway.service import longest_call
from agora_transcription.serving.keys import FileProblem

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from fastapi import FastAPI, Request, Response
    from starlette.types import Receive, Scope, Send

    from agora_transcription.gateway.files import Files
    from agora_transcription.settings import GatewaySettings

__all__ = ["add_page", "content_security_policy"]

PAGE: Final = Path(__file__).with_name("page")

NOT_BUILT: Final = "The page is not there: `make page` in a checkout builds it.\n"

AGORA: Final = ("https://*.agora.io:*", "wss://*.agora.io:*", "https://*.sd-rtn.com:*", "wss://*.sd-rtn.com:*")
"""Where Agora's SDK for the web connects to: docs.agora.io, "Firewall requirements"."""

FOR_GOOD: Final = "public, max-age=31536000, immutable"
"""Files whose names have a hash in them."""

logger = logging.getLogger(__name__)


def add_page(app: FastAPI, settings: GatewaySettings, files: Files, folder: Path = PAGE) -> None:
    """Serve the page at `/captions/`, and the description of the calls at `/docs`.

    Args:
        app: The application that has the calls.
        settings: Which captions the page shows, and where it sends speech.
        files: Has the App ID, with which the page joins a channel.
        folder: What `make page` has built; without it both answer 404 and say so.
    """
    policy = content_security_policy(settings)

    async def config() -> Response:
        try:
            project = None if settings.captions_url else files.project()
        except FileProblem as problem:
            logger.error("config: %s", problem)  # noqa: TRY400 - the problem is all there is to say
            return PlainTextResponse("the gateway is not set up for this", 503)
        return JSONResponse(
            {
                "source": "local" if settings.captions_url else "agora",
                "appId": project.app_id if project else None,
                "captionsUrl": settings.captions_url,
                "sttUrl": settings.stt_url,
                "keyRequired": not settings.anonymous,
                "longestCall": longest_call(settings),
            },
            headers={"Cache-Control": "no-store"},
        )

    async def docs() -> Response:
        if not (folder / "docs.html").exists():
            return PlainTextResponse(NOT_BUILT, 404)
        return FileResponse(folder / "docs.html", headers=_headers(policy, "no-cache"))

    async def slash(request: Request) -> Response:
        # Relative, as only the browser knows the prefix and the scheme that a proxy has put before it.
        return RedirectResponse(f"captions/?{request.url.query}".removesuffix("?"))

    app.add_route("/captions", slash, include_in_schema=False)
    app.add_api_route("/captions/config.json", config, include_in_schema=False)
    app.add_api_route("/docs", docs, include_in_schema=False)
    app.mount("/captions", _Page(folder, policy))


def content_security_policy(settings: GatewaySettings) -> str:
    """Say what the page may load and reach: its own files, and the services that the settings name."""
    agora = () if settings.captions_url else AGORA
    reached = ["'self'", *_origins(settings.captions_url), *_origins(settings.stt_url), *agora]
    directives = {
        "default-src": "'self'",
        "connect-src": " ".join(dict.fromkeys(reached)),
        "img-src": "'self' data:",  # Swagger UI's
        # Agora's SDK makes its workers from its own text.
        "worker-src": "'self' blob:" if agora else "'self'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


class _Page(StaticFiles):
    """The files of the page, each with the headers that it needs."""

    def __init__(self, folder: Path, policy: str) -> None:
        super().__init__(directory=folder, html=True, check_dir=False)
        self._index = folder / "index.html"
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, also before anything is built."""
        if self._index.exists():
            await super().__call__(scope, receive, send)
        else:
            await PlainTextResponse(NOT_BUILT, 404)(scope, receive, send)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Answer a file, or that it has not changed."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        immutable = Path(full_path).parent.name == "assets"
        response.headers.update(_headers(self._policy, FOR_GOOD if immutable else "no-cache"))
        return response


def _headers(policy: str, cache: str) -> dict[str, str]:
    return {
        "Cache-Control": cache,
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _origins(url: str | None) -> Iterator[str]:
    """The origin of a URL, for HTTP and for WebSockets."""
    if url:
        split = urlsplit(url)
        yield f"{split.scheme}://{split.netloc}"
        yield f"{'wss' if split.scheme == 'https' else 'ws'}://{split.netloc}"
