"""How a session ends: what its client is told, what the log says, and how long the last words may take."""

from __future__ import annotations

from dataclasses import dataclass

from agora_transcription.stt.protocol import Close

__all__ = ["Ending"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ends.

    Attributes:
        code: Of `session-closed`.
        reason: The same.
        error: What `session-error` says before that; None where nothing is wrong.
        flush: Seconds that the last words get; 0 where they are not waited for.
        note: What the log says in place of the reason: the other end of a relay may say there what it likes.
    """

    code: int
    reason: str = ""
    error: str | None = None
    flush: float = 0.0
    note: str | None = None

    @property
    def said(self) -> str:
        """What the log says."""
        why = self.note or self.reason
        return f"{self.code:d} ({why})" if why else f"{self.code:d}"

    @property
    def late(self) -> Ending:
        """What it becomes where the last words have not come in the time that they get."""
        if not self.flush:
            return self
        late = f"the last words have not come in {self.flush:g} s"
        return Ending(Close.FAULT if self.code == Close.NORMAL else self.code, self.reason or late, late)
