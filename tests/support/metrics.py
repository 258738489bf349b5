"""The operator's metrics, read as Prometheus does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Callable


async def read_metrics(url: str) -> Callable[..., float | None]:
    """Read a metrics page; answers a look-up of a sample's value by its name and labels."""
    async with httpx.AsyncClient() as client:
        page = (await client.get(url)).text
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}

    def value(sample: str, /, **labels: str) -> float | None:
        return found.get((sample, frozenset(labels.items())))

    return value
