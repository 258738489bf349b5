"""Who speaks in a channel without audio, when, and what a task makes of it. Pure: every method takes the time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from agora_transcription.simulator.captions.messages import Caption, Word
from agora_transcription.simulator.captions.script import line, pieces
from agora_transcription.simulator.fields import ALL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["CAST", "Dialogue", "hears", "languages_of", "targets_of"]

CAST: Final = (101, 102, 103)
"""The uids of those who speak to a task that has not chosen its speakers."""

CONFIDENCE: Final = 0.9
LETTER: Final = 50
"""Milliseconds: a word of five letters takes as long as three in a second allow."""

SETTLING: Final = 300
"""Milliseconds from the last word to the final text, and again to its translation."""

PAUSE: Final = 1.0
"""Seconds between two utterances."""


class Dialogue:
    """A task's captions of the scripted dialogue."""

    def __init__(self) -> None:
        self._turn = 0
        self._next = 0.0
        self._pending: deque[tuple[float, Caption]] = deque()

    def due(self, settings: Mapping[str, Any], now: float) -> Iterator[Caption]:
        """The captions to be sent now; an utterance that has begun goes on as it began.

        Args:
            settings: The task's, as of now.
            now: Unix seconds; pauses of the caller make the dialogue later, and not faster.
        """
        if not self._pending and now >= self._next:
            self._pending.extend(_utterance(settings, self._turn, round(now * 1000)))
            self._turn += bool(self._pending)
        while self._pending and self._pending[0][0] <= now:
            at, caption = self._pending.popleft()
            yield caption
            self._next = max(at, now) + PAUSE


def hears(settings: Mapping[str, Any], uid: int) -> bool:
    """Whether a task subscribes to a speaker."""
    rtc = settings["rtcConfig"]
    wanted = rtc.get("subscribeAudioUids") or [ALL]
    return (ALL in wanted or str(uid) in wanted) and str(uid) not in rtc.get("unSubscribeAudioUids", ())


def languages_of(settings: Mapping[str, Any], uid: int) -> list[str]:
    """The languages that a task listens for in what a speaker says."""
    own = [item["languages"] for item in settings.get("uidLanguagesConfig", ()) if item["uid"] == str(uid)]
    found: list[str] = own[0] if own else settings["languages"]
    return found


def targets_of(settings: Mapping[str, Any], language: str) -> list[str]:
    """The languages that a task has a language translated to."""
    translation = settings.get("translateConfig", {})
    pairs = translation.get("languages", ()) if translation.get("enable") else ()
    return [target for pair in pairs if pair["source"] == language for target in pair["target"] if target != language]


def _speakers(settings: Mapping[str, Any]) -> list[int]:
    """Those who are subscribed to by name, else those with languages of their own and the cast."""
    named = [uid for uid in settings["rtcConfig"].get("subscribeAudioUids", ()) if uid != ALL]
    own = [item["uid"] for item in settings.get("uidLanguagesConfig", ())]
    there = map(int, named or [*own, *map(str, CAST)])
    return [uid for uid in dict.fromkeys(there) if hears(settings, uid)]


def _utterance(settings: Mapping[str, Any], turn: int, began: int) -> Iterator[tuple[float, Caption]]:
    """What a turn brings, with the Unix seconds at which it is sent; nothing where nobody is heard.

    Every speaker has a turn, then every speaker one in the next of their languages.
    """
    speakers = _speakers(settings)
    if not speakers:
        return
    round_, position = divmod(turn, len(speakers))
    uid = speakers[position]
    languages = languages_of(settings, uid)
    language = languages[(position + round_) % len(languages)]
    targets = targets_of(settings, language)
    words = _words(line(turn, language), language)
    translations = [(target, line(turn, target)) for target in targets]

    def said(count: int, *, final: bool = False) -> tuple[float, Caption]:
        last = words[count - 1]
        made = began + last.start + last.duration + (SETTLING if final else 0)
        return made / 1000, Caption(uid, language, began, made, tuple(words[:count]), final)

    def translated(original: Caption, texts: list[tuple[str, str]]) -> tuple[float, Caption]:
        caption = Caption(uid, language, began, original.made, original.words, original.final, tuple(texts))
        return (original.made + SETTLING) / 1000, caption

    half = (len(words) + 1) // 2
    early = [(target, _half(text, target)) for target, text in translations]
    sent = [said(count) for count in range(1, len(words) + 1)]
    if translations:
        sent.append(translated(sent[half - 1][1], early))
    yield from sorted(sent, key=lambda item: item[0])
    final = said(len(words), final=True)
    yield final
    if translations:
        yield translated(final[1], translations)


def _words(text: str, language: str) -> list[Word]:
    words, start = [], 0
    for piece in pieces(text, language):
        # Where there are no blanks, two characters are a word.
        duration = LETTER * max(len(piece), 4)
        words.append(Word(piece, start, duration, CONFIDENCE))
        start += duration
    return words


def _half(text: str, language: str) -> str:
    parts = pieces(text, language)
    return "".join(parts[: (len(parts) + 1) // 2])
