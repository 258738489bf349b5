"""Waiting for a call's turn: until it comes, until it matters no more, or until the object should say why it waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from agora_transcription import agora
from agora_transcription.controller.calls import priority_of

if TYPE_CHECKING:
    from agora_transcription.controller.steps import Call

__all__ = ["admitted"]

TOLD_AFTER: Final = 10.0
"""Seconds that a start, an update or a stop waits for an App ID that Agora holds back before its object says so."""


async def admitted(
    budgets: agora.Budgets, account: agora.Account, step: Call, *, tenant: str, changed: asyncio.Event
) -> bool:
    """Wait for a call's turn; False when something has changed first.

    Args:
        budgets: Give the turns.
        account: Whose call it is.
        step: The call.
        tenant: Its object's namespace.
        changed: Set when the call may not be wanted any more.

    Raises:
        CircuitOpen: When the credentials are refused.
        Throttled: When Agora holds the account back for so long that the object should say so. A look can wait without
            a word.
    """
    priority = priority_of(step)
    patience = None if priority is agora.Priority.POLL else TOLD_AFTER
    turn = asyncio.ensure_future(budgets.admit(account, priority, tenant=tenant))
    change = asyncio.ensure_future(changed.wait())
    try:
        while not (turn.done() or change.done()):
            await asyncio.wait({turn, change}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not (turn.done() or change.done()) and (held := budgets.held(account)):
                text = "Agora has asked this App ID for fewer requests"
                raise agora.Throttled(step.operation, code=None, text=text, retry_after=held)
        if not turn.done():
            return False
        await turn
        return True
    finally:
        turn.cancel()
        change.cancel()
