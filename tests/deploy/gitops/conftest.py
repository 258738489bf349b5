"""The world of these tests, and the option that writes the test data of Argo CD's health check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from support.world import World, a_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from agora_transcription.local.controlplane import ControlPlane


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-testdata", action="store_true", help="write health.lua's test data from live objects")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    control_plane: ControlPlane, operator_kubeconfig: Path, module_namespace: str, logs: Path
) -> AsyncIterator[World]:
    async with a_world(control_plane.kubeconfig, operator_kubeconfig, module_namespace, logs) as made:
        yield made
