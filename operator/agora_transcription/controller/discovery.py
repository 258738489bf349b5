"""Whether the cluster knows the kind that is watched: the CRD may come after the operator, and may go.

kopf looks once, when its watch begins, and then serves what it has found: without the kind the operator would be there,
healthy, and do nothing for ever. So the watch begins once the kind is there; and when it goes the process ends, and the
next one waits for it again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from agora_transcription.api import GROUP, PLURAL, VERSION
from agora_transcription.kube.replies import StoreError, answer_of, path_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kubernetes.aio import client

__all__ = ["MISSING", "find_problem", "wait_until_served"]

MISSING: Final = f"the cluster has no {PLURAL}.{GROUP}: apply its CustomResourceDefinition"

PAUSE_SECONDS: Final = 2.0
REFUSED: Final = {401, 403}

logger = logging.getLogger(__name__)


async def wait_until_served(api: client.ApiClient) -> None:
    """Wait until the API server tells of the kind in both places where kopf will look."""
    said = ""
    while problem := await find_problem(api):
        if problem != said:
            logger.warning("Waits: %s", problem)
        said = problem
        await asyncio.sleep(PAUSE_SECONDS)


async def find_problem(api: client.ApiClient) -> str | None:
    """Why there is nothing to watch, `MISSING` where that is known; None where there is, or the watch will tell."""
    try:
        groups = await answer_of("get /apis", api, "GET", path_of("apis"))
        if GROUP not in _names(groups, "groups"):
            return MISSING
        kinds = await answer_of(f"get /apis/{GROUP}/{VERSION}", api, "GET", path_of("apis", GROUP, VERSION))
    except StoreError as error:
        # Who refuses this refuses the watch as well, and that ends in an error which says so.
        return None if error.code in REFUSED else str(error)
    return None if PLURAL in _names(kinds, "resources") else MISSING


def _names(answer: object, key: str) -> Iterable[Any]:
    """The names in a list of an answer; none where it is something else."""
    entries = answer.get(key) if isinstance(answer, dict) else None
    return [entry.get("name") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
