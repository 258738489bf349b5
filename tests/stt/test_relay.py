"""A service that relays to another one: its clients cannot tell, and its other end leaves when they do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from support.metrics import read_metrics
from support.processes import Stt
from support.stt import KEY, calling

if TYPE_CHECKING:
    from pathlib import Path

    from stt.conftest import Run

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_relay_to_a_service_of_this_protocol(run: Run, tmp_path: Path) -> None:
    key = tmp_path / "relayKey"
    key.write_text(KEY)
    async with run() as other:
        flags = ("--anonymous", "--engine=socketio", f"--relay-url={other.url}", f"--relay-key-file={key}")
        relay = Stt(tmp_path / "stt.log", *flags)
        try:
            await relay.start_and_wait()
            async with calling(relay.url, None) as caller:
                await caller.start()
                await caller.say(1, 2, 0, 0, 0, 0, 0)
                await caller.until_committed("w1 w2")
                await caller.say(3)
                await caller.sio.emit("stop-session")
                await caller.until_committed("w3")
                assert (await caller.until("session-closed")).payload == {"code": 1000, "reason": ""}
                await caller.start()
            async with asyncio.timeout(10):
                while (await read_metrics(other.metrics))("agora_transcription_stt_connections"):
                    await asyncio.sleep(0.05)
        finally:
            relay.kill()
        written = relay.log.read_text()
        assert "Traceback" not in written
        assert KEY not in written
