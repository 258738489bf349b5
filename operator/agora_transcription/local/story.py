"""The life of one task, as the demo tells it: what a user types, and what has to be seen each time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

from agora_transcription.local.terminal import Terminal, relative

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["apply_samples", "tell"]

_TASK = "ttask/standup"
_NEW_LANGUAGES = ("en-US", "fr-FR")


def tell(terminal: Terminal, samples: Path, agora: str) -> None:
    """Act the whole story: start, look, change in place, delete.

    Args:
        terminal: where it is typed; kubectl's context there is the namespace to use.
        samples: the folder with the Secret and the task `standup`.
        agora: the simulator's URL.

    Raises:
        StepFailed: a step was not seen to happen.
    """
    apply_samples(terminal, samples)
    (task_id,) = _live_tasks(agora) or ("",)
    terminal.run(
        *("kubectl", "get", "ttask"),
        expect="the task is Running and Ready, and names the task that Agora runs",
        seen=lambda output: all(f" {word} " in output for word in ("Running", "True", task_id)) and bool(task_id),
    )

    terminal.say("Its languages change while it runs: one call to Agora, which wants 5 seconds between a start and it.")
    terminal.run(
        *("kubectl", "patch", "ttask", "standup", "--type", "merge"),
        *("-p", json.dumps({"spec": {"languages": _NEW_LANGUAGES}}, separators=(",", ":"))),
        expect="the API server takes the change",
        seen=lambda output: output.endswith(" patched"),
    )
    _wait_until_ready(terminal)
    terminal.curl(
        f"{agora}/simulator/calls?since={_index_of_update(agora)}",
        expect="Agora got one update of this task, with the languages and the first sequenceId, and took it",
        seen=lambda calls: (
            [_essence(call) for call in calls if call["operation"] == "update"]
            == [{"taskId": task_id, "updateMask": "languages", "sequenceId": 1, "code": httpx.codes.OK}]
        ),
    )
    terminal.run(
        *("kubectl", "get", "ttask", "-o", "wide"),
        expect="the same Agora task is still Running, now with both languages",
        seen=lambda output: f" {task_id} " in output and all(language in output for language in _NEW_LANGUAGES),
    )

    terminal.say("Deleting the object stops the task at Agora first.")
    terminal.run(
        *("kubectl", "delete", "ttask", "standup", "--timeout=30s"),
        expect="the object is gone within 30 s",
        seen=lambda output: " deleted" in output,
    )
    terminal.curl(f"{agora}/simulator/tasks?live=true", expect="Agora runs no task any more", seen=_is_empty)
    terminal.curl(f"{agora}/simulator/doubles", expect="no object ever had two tasks at once", seen=_is_empty)


def apply_samples(terminal: Terminal, samples: Path) -> None:
    """Apply the Secret and the task, and wait until Agora runs it.

    Args:
        terminal: where it is typed.
        samples: the folder.

    Raises:
        StepFailed: the task does not become ready.
    """
    terminal.say("A Secret with the Agora account, and a task: the operator starts it at Agora.")
    terminal.run(
        *("kubectl", "apply", "-f", relative(samples)),
        expect="the API server takes the samples",
        seen=lambda output: "/standup created" in output,
    )
    _wait_until_ready(terminal)


def _wait_until_ready(terminal: Terminal) -> None:
    terminal.run(
        *("kubectl", "wait", "--for=condition=Ready", _TASK, "--timeout=30s"),
        expect="the task becomes Ready within 30 s",
        seen=lambda output: output.endswith(" condition met"),
    )


def _live_tasks(agora: str) -> list[str]:
    return [task["taskId"] for task in _get(f"{agora}/simulator/tasks?live=true")]


def _index_of_update(agora: str) -> int:
    """Where the calls begin that are worth showing; 0 where there was no update."""
    calls = _get(f"{agora}/simulator/calls")
    return next((int(call["index"]) for call in calls if call["operation"] == "update"), 0)


def _essence(call: dict[str, Any]) -> dict[str, Any]:
    return {name: call[name] for name in ("taskId", "updateMask", "sequenceId", "code")}


def _is_empty(answer: object) -> bool:
    return answer == []


def _get(url: str) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = httpx.get(url, trust_env=False).raise_for_status().json()
    return answer
