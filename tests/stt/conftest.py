"""The Socket.IO service as a process, with the engine of the tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from support.stt import KEY, OTHER_KEY, ScriptedStt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    Run = Callable[..., AbstractAsyncContextManager[ScriptedStt]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run another service, with flags and a script of its own; in the end its log must hold no fault and no secret."""

    @asynccontextmanager
    async def running(*flags: str, **script: Any) -> AsyncIterator[ScriptedStt]:
        directory = tmp_path_factory.mktemp("stt")
        service = served(directory, *flags, **script)
        try:
            await service.start_and_wait()
            yield service
        finally:
            service.kill()
        check(service.log.read_text())

    return running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(run: Run) -> AsyncIterator[ScriptedStt]:
    async with run(capacity=50) as running:
        yield running


def served(directory: Path, *flags: str, **script: Any) -> ScriptedStt:
    keys = directory / "apiKeys"
    keys.write_text(f"{KEY}\n{OTHER_KEY}\n")
    return ScriptedStt(directory / "stt.log", f"--api-keys-file={keys}", *flags, script=script)


def check(written: str) -> None:
    assert "Traceback" not in written, written[-4000:]
    assert " ERROR " not in written, written[-4000:]
    assert not [secret for secret in (KEY, OTHER_KEY, "audio_base_64", "w1 ") if secret in written]
