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

    Run = Callable[..., AbstractAsyncContextManager[ScriptedStt]]


SECRETS = (KEY, OTHER_KEY, "audio_base_64", "w1 ", "sid=")
FAULTS = ("Traceback", " ERROR ", "never retrieved", "was never awaited")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run another service, with flags and a script of its own; in the end its log must hold no fault and no secret."""

    @asynccontextmanager
    async def running(
        *flags: str, keys: bool = True, expect_errors: bool = False, **script: Any
    ) -> AsyncIterator[ScriptedStt]:
        service = ScriptedStt(tmp_path_factory.mktemp("stt"), *flags, keys=keys, script=script)
        try:
            await service.start_and_wait()
            yield service
        finally:
            service.kill()
        written = service.log.read_text()
        assert not [secret for secret in SECRETS if secret in written], written[-4000:]
        assert expect_errors or not [word for word in FAULTS if word in written], written[-4000:]

    return running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(run: Run) -> AsyncIterator[ScriptedStt]:
    async with run(capacity=50) as running:
        yield running
