"""What a client of the API server sees of the tasks, and when."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from support.kube import Kube

__all__ = ["Observer"]


@dataclass
class Observer:
    """Follows a watch.

    Attributes:
        events: How many changes of objects it has told of: each is one write, by whomever.
        settled: By name, the newest generation of the spec that runs, and since when.
        agents: The Agora task of each object, by name.
        gone: By name, when it was deleted.
    """

    events: int = 0
    settled: dict[str, tuple[int, float]] = field(default_factory=dict)
    agents: dict[str, str] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)

    def see(self, kind: str, body: dict[str, Any], moment: float) -> None:
        """Take an event of the watch."""
        self.events += 1
        metadata, status = body["metadata"], body.get("status", {})
        name, generation = metadata["name"], metadata["generation"]
        if kind == "DELETED":
            self.gone[name] = moment
        elif status.get("phase") == "Running" and status["observedGeneration"] == generation:
            self.agents[name] = status["taskId"]
            if self.settled.get(name, (0, 0.0))[0] < generation:
                self.settled[name] = generation, moment

    def runs(self, generations: Mapping[str, int]) -> bool:
        """Whether each of these objects runs in this generation, or a later one."""
        return all(self.settled.get(name, (0, 0.0))[0] >= wanted for name, wanted in generations.items())

    def since(self, names: Iterable[str]) -> dict[str, float]:
        """Since when each of these objects runs as it is."""
        return {name: self.settled[name][1] for name in names}

    async def follow(self, kube: Kube, version: str) -> None:
        """Watch the namespace from a resourceVersion on, until cancelled.

        The API server ends the watch of a client that falls behind; it goes on where it was, and misses nothing.

        Raises:
            RuntimeError: It cannot, so what was counted is not all.
        """
        while True:
            async for event in kube.watching(version):
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the watch cannot go on: {event['object']}")
                self.see(event["type"], event["object"], time.monotonic())
                version = event["object"]["metadata"]["resourceVersion"]
