"""Brings channels to life: while somebody listens to one, its tasks' captions are made as time goes by.

Where nobody listens nothing runs, however many tasks there are.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from agora_transcription.simulator.captions.channel import Channel
from agora_transcription.simulator.captions.dialogue import Dialogue, hears, languages_of, targets_of
from agora_transcription.simulator.captions.messages import Caption, encode
from agora_transcription.simulator.captions.script import marked
from agora_transcription.simulator.captions.speech import Hearing, Speech, play
from agora_transcription.stt.engines.base import EngineClosed, EngineFault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from agora_transcription.simulator.tasks import Task
    from agora_transcription.simulator.world import World
    from agora_transcription.stt.engines.base import Engine

__all__ = ["Stage"]

TICK_SECONDS: Final = 0.05
"""How often it is looked for what has come due, and for tasks that came, changed or ended."""

LINGER_SECONDS: Final = 5.0
"""How long a channel goes on without a listener: one whose connection was lost comes back, and misses nothing."""

ENGINE_PAUSE: Final = 1.0
"""Seconds until an audio goes on after the engine has failed."""

LANGUAGE: Final = "en"
"""The only one that the engine knows."""

logger = logging.getLogger(__name__)


class Stage:
    """Every channel that somebody listens to or that has audio.

    Args:
        world: Whose tasks make the captions.
        make_engine: A speech engine, not started: asked for when the first audio comes.
        linger: Seconds; see `LINGER_SECONDS`.
    """

    def __init__(self, world: World, make_engine: Callable[[], Engine], linger: float = LINGER_SECONDS) -> None:
        self._world = world
        self._make_engine = make_engine
        self._linger = linger
        self._channels: dict[str, Channel] = {}
        self._performances: dict[str, asyncio.Task[None]] = {}
        self._engine: asyncio.Task[Engine] | None = None

    def channel(self, name: str) -> Channel:
        """A channel by its name; it need not have tasks."""
        if name not in self._channels:
            self._channels[name] = Channel(round(self._world.clock.wall() * 1000))
        return self._channels[name]

    async def listen(self, name: str, after: int | None) -> AsyncIterator[str]:
        """A channel's captions as server-sent events, without end.

        Args:
            name: The channel.
            after: See `Channel.follow`.
        """
        channel = self.channel(name)
        with channel.listening():
            if not self._is_performed(name):
                self._performances[name] = asyncio.create_task(self._perform(name, channel))
            async for event in channel.follow(after):
                yield event

    async def attach(self, name: str, uid: int, speech: Speech) -> None:
        """Let a speaker say this in a channel, in place of what the speaker said before.

        Raises:
            EngineFault: There is no engine that could understand it.
        """
        await self._started_engine()
        self.channel(name).speeches[uid] = speech

    def waits_for(self, name: str, uid: int) -> str | None:
        """Say why what a speaker has to say is not played now; None if it is, or was."""
        speech = self.channel(name).speeches[uid]
        if speech.ended:
            return None
        if not self._is_performed(name):
            return "nobody listens to the captions"
        self._world.now()
        tasks = self._world.tasks.heard_in(name)
        if not tasks:
            return "no task runs in the channel, or it has no hosts"
        return None if _is_understood(tasks, uid) else f"no task hears {uid} in English"

    def reset(self) -> None:
        """Take all audio away, and what could be caught up on."""
        for channel in self._channels.values():
            channel.clear()

    async def close(self) -> None:
        """End everything that runs."""
        running = [*self._performances.values()]
        for performance in running:
            performance.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._engine is not None:
            engine = await asyncio.gather(self._engine, return_exceptions=True)
            if not isinstance(engine[0], BaseException):
                await engine[0].stop()

    def _is_performed(self, name: str) -> bool:
        return name in self._performances and not self._performances[name].done()

    async def _started_engine(self) -> Engine:
        """The engine of all channels; one that could not be started is tried again."""
        if self._engine is None or (self._engine.done() and self._engine.exception()):
            self._engine = asyncio.create_task(_start(self._make_engine))
        return await asyncio.shield(self._engine)

    async def _perform(self, name: str, channel: Channel) -> None:
        dialogues: dict[str, Dialogue] = {}
        players: dict[Speech, asyncio.Task[None]] = {}
        loop = asyncio.get_running_loop()
        until = loop.time() + self._linger
        try:
            while channel.listeners or loop.time() < until:
                if channel.listeners:
                    until = loop.time() + self._linger
                self._world.now()
                tasks = self._world.tasks.heard_in(name)
                script = [] if channel.speeches else tasks
                dialogues = {task.id: dialogues.get(task.id) or Dialogue() for task in script}
                for task in script:
                    for caption in dialogues[task.id].due(task.settings, self._world.clock.wall()):
                        _publish(channel, task, caption)
                self._play(name, channel, tasks, players)
                await asyncio.sleep(TICK_SECONDS)
        finally:
            for player in players.values():
                player.cancel()
            await asyncio.gather(*players.values(), return_exceptions=True)

    def _play(
        self, name: str, channel: Channel, tasks: Iterable[Task], players: dict[Speech, asyncio.Task[None]]
    ) -> None:
        """See to it that those audios are played that a task listens to, and no others."""
        wanted = {
            speech: uid for uid, speech in channel.speeches.items() if not speech.ended and _is_understood(tasks, uid)
        }
        for speech in [speech for speech in players if speech not in wanted or players[speech].done()]:
            players.pop(speech).cancel()
        for speech, uid in wanted.items():
            if speech not in players:
                players[speech] = asyncio.create_task(self._play_one(name, channel, uid, speech))

    async def _play_one(self, name: str, channel: Channel, uid: int, speech: Speech) -> None:
        def say(caption: Caption) -> None:
            for task in self._world.tasks.heard_in(name):
                if language := _language(task, uid):
                    for version in _versions(caption, language, targets_of(task.settings, language)):
                        _publish(channel, task, version)

        try:
            await play(speech, await self._started_engine(), Hearing(uid, self._world.clock.wall, say))
        except* (EngineFault, EngineClosed) as group:
            logger.warning("The speech engine failed, and is tried again: %s", group.exceptions[0])
            await asyncio.sleep(ENGINE_PAUSE)


async def _start(make: Callable[[], Engine]) -> Engine:
    engine = make()
    await engine.start()
    return engine


def _language(task: Task, uid: int) -> str | None:
    """In which language a task hears what the engine understands of a speaker; None if it does not."""
    if not hears(task.settings, uid):
        return None
    return next((code for code in languages_of(task.settings, uid) if code.partition("-")[0] == LANGUAGE), None)


def _is_understood(tasks: Iterable[Task], uid: int) -> bool:
    return any(_language(task, uid) for task in tasks)


def _versions(caption: Caption, language: str, targets: list[str]) -> Iterator[Caption]:
    """What a task sends of something understood: the text, and once that is final its translations."""
    spoken = Caption(caption.uid, language, caption.began, caption.made, caption.words, caption.final)
    yield spoken
    if caption.final and targets:
        texts = tuple((target, marked(caption.text, target)) for target in targets)
        yield Caption(caption.uid, language, caption.began, caption.made, caption.words, final=True, translations=texts)


def _publish(channel: Channel, task: Task, caption: Caption) -> None:
    rtc = task.settings["rtcConfig"]
    channel.publish(int(rtc["pubBotUid"]), encode(caption, as_json=rtc.get("enableJsonProtocol", False)))
