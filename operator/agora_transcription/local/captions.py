"""The way of spoken words to a page, as the demo tells it: a WAV file, a channel, a transcription, its captions."""

from __future__ import annotations

import base64
import json
import os
import shlex
import sys
import time
import webbrowser
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from agora_transcription import INSTALL_STT
from agora_transcription.local.addresses import answers, free_addresses
from agora_transcription.local.terminal import StepFailed, Terminal, relative
from agora_transcription.simulator.captions.captions_pb2 import Text
from agora_transcription.simulator.captions.wav import MAX_BYTES, InvalidWav, samples_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agora_transcription.local.cluster import Cluster

__all__ = ["CHANNEL", "VERBS", "Speech", "SpeechError", "Transcription", "finish", "open_page", "stop_command", "tell"]

CHANNEL: Final = "demo"
"""Of the captions."""

SPEAKER: Final = 17
ACCOUNT: Final = "gateway"

VERBS: Final = ("get", "create", "delete")
"""What the gateway may do with tasks, as the chart's Role has it."""

FIRST_WORDS_SECONDS: Final = 60.0
"""Within which the first sentences have to come, of a speech that begins at once."""

ENOUGH: Final = 2
"""Sentences that are waited for."""


class SpeechError(Exception):
    """What should be spoken cannot be; the message says why, or what to do."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What is spoken in the channel.

    Attributes:
        wav: The file.
        words: In lower case, what has to be understood of its beginning; empty for any words.
    """

    wav: Path
    words: str = ""

    @staticmethod
    def of(wav: str | None) -> Speech:
        """The file of that name, or the one that comes with the engine.

        Raises:
            SpeechError: It cannot be heard.
        """
        try:
            engine = files("moonshine_voice")
        except ModuleNotFoundError:
            raise SpeechError(f"There is no speech engine: {INSTALL_STT}") from None
        if wav is None:
            return Speech(Path(str(engine / "assets" / "two_cities.wav")), "best of times")
        path = Path(wav).resolve()
        try:
            content = path.read_bytes()
            if len(content) > MAX_BYTES:
                raise SpeechError(f"{wav}: at most {MAX_BYTES // 2**20} MiB")
            samples_of(content)
        except (OSError, InvalidWav) as error:
            raise SpeechError(f"{wav}: {error}") from None
        return Speech(path)


@dataclass(frozen=True, slots=True)
class Transcription:
    """What was started.

    Attributes:
        gateway: The gateway's URL.
        ids: What a stop has to bring along: taskId and builderToken.
    """

    gateway: str
    ids: dict[str, str]

    @property
    def page(self) -> str:
        """Where the captions can be read."""
        return f"{self.gateway}/captions/?channel={CHANNEL}"


def tell(
    terminal: Terminal, cluster: Cluster, samples: Path, agora: str, namespace: str, speech: Speech
) -> Transcription:
    """Act the story up to the first sentences; nothing is stopped.

    Args:
        terminal: where it is typed; kubectl's context there has the namespace.
        cluster: whose ServiceAccount the gateway gets.
        samples: the folder with the Secret.
        agora: the simulator's URL.
        namespace: of the tasks.
        speech: what is spoken.

    Raises:
        StepFailed: a step was not seen to happen.
    """
    gateway = _serve(terminal, cluster, samples, agora, namespace)

    terminal.say("Somebody who speaks in the channel: a WAV file, heard by a speech engine on this machine.")
    terminal.curl(
        f"{agora}/simulator/channels/{CHANNEL}/audio?uid={SPEAKER}&loop=true",
        upload=speech.wav,
        expect="the simulator takes the file",
        seen=lambda answer: answer["uid"] == SPEAKER,
    )

    terminal.say(
        "A web client starts the transcription of a channel: the gateway makes the object, the operator the task."
    )
    ids: dict[str, str] = terminal.curl(
        f"{gateway}/api/transcription/start.json",
        content={"channel": CHANNEL},
        expect="the transcription runs, and the client gets what it can stop it with",
        seen=lambda answer: set(answer) == {"taskId", "builderToken"},
    )
    terminal.run(
        *("kubectl", "get", "ttask"),
        expect="the task is Running",
        seen=lambda output: " Running " in output,
    )

    stream = f"{agora}/simulator/channels/{CHANNEL}/captions"
    terminal.say(f"The captions of the channel, from {stream}: protobuf messages, decoded here.")
    _listen(stream, speech)
    transcription = Transcription(gateway, ids)
    terminal.say(f"They are on the page too: {transcription.page}")
    if not answers(transcription.page):
        raise StepFailed(f"curl {transcription.page}", "the page is there: `make page` builds it", "")
    return transcription


def finish(terminal: Terminal, agora: str, transcription: Transcription) -> None:
    """Stop it, as a web client does.

    Raises:
        StepFailed: something is left.
    """
    terminal.say("The client stops it: no object is left, and no task.")
    terminal.curl(
        _stop_url(transcription),
        content=transcription.ids,
        expect="the transcription is stopped",
        seen=lambda answer: answer == {},
    )
    terminal.curl(
        f"{agora}/simulator/tasks?live=true", expect="Agora runs no task any more", seen=lambda rows: rows == []
    )
    terminal.run(
        *("kubectl", "get", "ttask"), expect="there is no object any more", seen=lambda output: "No resources" in output
    )


def stop_command(transcription: Transcription) -> str:
    """What stops it, to be typed."""
    return shlex.join(["curl", "--json", json.dumps(transcription.ids), _stop_url(transcription)])


def open_page(transcription: Transcription) -> None:
    """Show the page in a browser, where there is somebody in front of one."""
    display = sys.platform in {"darwin", "win32"} or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if display and sys.stdout.isatty():
        webbrowser.open(transcription.page)


def _stop_url(transcription: Transcription) -> str:
    return f"{transcription.gateway}/api/transcription/stop.json"


def _serve(terminal: Terminal, cluster: Cluster, samples: Path, agora: str, namespace: str) -> str:
    """Start the gateway and the speech service; answers the gateway's URL."""
    terminal.say(
        "The account at Agora, and for the gateway a ServiceAccount that may see, make and delete tasks, no more."
    )
    terminal.run(
        *("kubectl", "apply", "-f", relative(samples / "credentials.yaml")), expect="the API server takes the Secret"
    )
    terminal.run("kubectl", "create", "serviceaccount", ACCOUNT, expect="the account is created")
    terminal.run(
        *("kubectl", "create", "role", ACCOUNT, f"--verb={','.join(VERBS)}"),
        "--resource=transcriptiontasks.transcription.dev",
        expect="the role is created",
    )
    terminal.run(
        *("kubectl", "create", "rolebinding", ACCOUNT, f"--role={ACCOUNT}", f"--serviceaccount={namespace}:{ACCOUNT}"),
        expect="the account has the role",
    )

    terminal.say("The speech-to-text service, for the page's microphone, and the gateway with the page.")
    stt, stt_metrics, stt_health, listen, metrics, health = free_addresses(6)
    terminal.start(
        "stt",
        "--anonymous",
        f"--listen={stt}",
        f"--metrics-address={stt_metrics}",
        f"--health-address={stt_health}",
        ready=lambda _: answers(f"http://{stt_health}/readyz"),
    )
    terminal.start(
        "gateway",
        "--anonymous",
        f"--kubeconfig={cluster.service_account_kubeconfig(namespace, ACCOUNT)}",
        f"--namespace={namespace}",
        f"--listen={listen}",
        f"--captions-url={agora}",
        f"--stt-url=http://{stt}",
        f"--metrics-address={metrics}",
        f"--health-address={health}",
        ready=lambda _: answers(f"http://{health}/readyz"),
    )
    return f"http://{listen}"


def _listen(stream: str, speech: Speech) -> None:
    """Print captions until enough sentences were understood."""
    expected = f"{ENOUGH} sentences within {FIRST_WORDS_SECONDS:.0f} s" + (
        f', and "{speech.words}" in them' if speech.words else ""
    )
    deadline = time.monotonic() + FIRST_WORDS_SECONDS
    sentences: list[str] = []
    try:
        for message in _messages(stream):
            text = "".join(word.text for word in message.words)
            final = any(word.is_final for word in message.words)
            if message.data_type == "transcribe":
                print(f"{message.uid} {message.culture}{' ' if final else '~'} {text}", flush=True)
                sentences += [text] if final else []
            if len(sentences) >= ENOUGH and speech.words in " ".join(sentences).lower():
                return
            if time.monotonic() > deadline:
                break
    except httpx.HTTPError as error:
        raise StepFailed(f"curl {stream}", expected, f"no answer: {error}") from None
    raise StepFailed(f"curl {stream}", expected, "\n".join(sentences))


def _messages(stream: str) -> Iterator[Text]:
    """The data-stream messages of a channel, as they come, and an empty one for each sign of life between them."""
    with httpx.stream("GET", stream, timeout=FIRST_WORDS_SECONDS, trust_env=False) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "data":
                data: dict[str, Any] = json.loads(value)
                yield Text.FromString(base64.b64decode(data["payload"]))
            elif line and not name:
                yield Text()
