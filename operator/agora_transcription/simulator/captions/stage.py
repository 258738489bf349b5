"""Brings channels to life: while somebody listens to one, its tasks' captions are made as time goes by.

Where nobody listens nothing runs, however many tasks there are.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from agora_transcription.simulator.captions.channel import Channel
from agora_transcription.simulator.captions.dialogue import Dialogue
from agora_transcription.simulator.captions.messages import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agora_transcription.simulator.captions.messages import Caption
    from agora_transcription.simulator.tasks import Task
    from agora_transcription.simulator.world import World

__all__ = ["Stage"]

TICK_SECONDS: Final = 0.05
"""How often it is looked for what has come due, and for tasks that came, changed or ended."""

LINGER_SECONDS: Final = 5.0
"""How long a channel goes on without a listener: one whose connection was lost comes back, and misses nothing."""


class Stage:
    """Every channel that somebody has listened to.

    Args:
        world: Whose tasks make the captions.
        linger: Seconds; see `LINGER_SECONDS`.
    """

    def __init__(self, world: World, linger: float = LINGER_SECONDS) -> None:
        self._world = world
        self._linger = linger
        self._channels: dict[str, Channel] = {}
        self._performances: dict[str, asyncio.Task[None]] = {}

    def channel(self, name: str) -> Channel:
        """A channel by its name; it need not have tasks."""
        if name not in self._channels:
            self._channels[name] = Channel(round(self._world.clock.wall() * 1000))
        return self._channels[name]

    def busy(self) -> list[str]:
        """The channels in which something runs."""
        return sorted(name for name, performance in self._performances.items() if not performance.done())

    async def listen(self, name: str, after: int | None) -> AsyncIterator[str]:
        """A channel's captions as server-sent events, without end.

        Args:
            name: The channel.
            after: See `Channel.follow`.
        """
        channel = self.channel(name)
        with channel.listening():
            if name not in self._performances or self._performances[name].done():
                self._performances[name] = asyncio.create_task(self._perform(name, channel))
            async for event in channel.follow(after):
                yield event

    def reset(self) -> None:
        """Forget what could be caught up on."""
        for channel in self._channels.values():
            channel.clear()

    async def close(self) -> None:
        """End everything that runs."""
        running = [*self._performances.values()]
        for performance in running:
            performance.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _perform(self, name: str, channel: Channel) -> None:
        dialogues: dict[str, Dialogue] = {}
        loop = asyncio.get_running_loop()
        until = loop.time() + self._linger
        while channel.listeners or loop.time() < until:
            if channel.listeners:
                until = loop.time() + self._linger
            self._world.now()
            tasks = self._world.tasks.heard_in(name)
            dialogues = {task.id: dialogues.get(task.id) or Dialogue() for task in tasks}
            for task in tasks:
                for caption in dialogues[task.id].due(task.settings, self._world.clock.wall()):
                    _publish(channel, task, caption)
            await asyncio.sleep(TICK_SECONDS)


def _publish(channel: Channel, task: Task, caption: Caption) -> None:
    rtc = task.settings["rtcConfig"]
    channel.publish(int(rtc["pubBotUid"]), encode(caption, as_json=rtc.get("enableJsonProtocol", False)))
