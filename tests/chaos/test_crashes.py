"""Killed at every boundary of every step: exactly one Agora task, or none.

`make chaos` kills once for each cell of the matrix. Here, in every test run, one kill meets all steps of a column at
their boundaries at once.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from agora_transcription.api import FINALIZER
from chaos.crashes import BOTH, CELLS, Cell, Cut, Stage, create, guards, play, play_together
from support.admission import admission_policy
from support.proxy import ApiProxy
from support.world import a_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agora_transcription.local.controlplane import ControlPlane

LANES = 4
"""Cells that are played at the same time, each with an operator of its own."""


@asynccontextmanager
async def a_stage(control_plane: ControlPlane, operator_kubeconfig: Path, logs: Path, api: str) -> AsyncIterator[Stage]:
    """A namespace, an Agora and an operator of its own, for the objects of one API."""
    namespace = f"chaos-{secrets.token_hex(4)}"
    control_plane.kubectl("create", "namespace", namespace)
    async with ApiProxy(operator_kubeconfig) as proxy:
        kubeconfig = proxy.kubeconfig(logs / f"{namespace}.kubeconfig")
        async with a_world(control_plane.kubeconfig, kubeconfig, namespace, logs) as world:

            async def watched() -> bool:
                return proxy.watched

            await world.eventually(watched, "the watch", 30)
            yield Stage(world, proxy, api)
            # What overlaps on purpose is judged cell by cell; to the simulator it is a double.
            await world.agora.delete("/simulator/state")
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")


def all_cuts(*, usual: Cut) -> pytest.MarkDecorator:
    """Play a test with each cut: with the usual one always, with the others in `make chaos` only."""
    cuts = [pytest.param(cut, marks=() if cut is usual else pytest.mark.chaos) for cut in Cut]
    return pytest.mark.parametrize("cut", cuts, ids=lambda cut: cut.name.lower())


@pytest.mark.parametrize("cut", Cut, ids=lambda cut: cut.name.lower())
async def test_one_kill_at_every_step_at_once(
    control_plane: ControlPlane, operator_kubeconfig: Path, logs: Path, cut: Cut
) -> None:
    await play_column(control_plane, operator_kubeconfig, logs, cut)


@all_cuts(usual=Cut.BEFORE_ANSWER)
async def test_one_kill_while_agora_is_slow_to_know_new_tasks(
    control_plane: ControlPlane, operator_kubeconfig: Path, logs: Path, cut: Cut
) -> None:
    """A task that is not found, or not listed, may be just too young."""
    await play_column(control_plane, operator_kubeconfig, logs, cut, queryDelay=6, listDelay=20)


@all_cuts(usual=Cut.BEFORE_WRITE)
async def test_one_kill_on_the_way_of_objects_that_the_admission_policy_has_guarded(
    control_plane: ControlPlane, operator_kubeconfig: Path, logs: Path, cut: Cut
) -> None:
    """No write of the operator tells that it had seen them before the start that may be out."""

    async def create_guarded(stage: Stage, name: str) -> None:
        created = await stage.create(name)
        assert created["metadata"]["finalizers"] == [FINALIZER]

    cells = tuple(
        replace(cell, step=replace(cell.step, act=create_guarded))
        for cell in CELLS
        if cell.step.act is create and cell.step.write is not guards
    )
    with admission_policy(control_plane):
        await play_column(control_plane, operator_kubeconfig, logs, cut, cells)


async def play_column(
    control_plane: ControlPlane,
    operator_kubeconfig: Path,
    logs: Path,
    cut: Cut,
    cells: tuple[Cell, ...] = CELLS,
    **options: float,
) -> None:
    """Play a column of both APIs, at an Agora with these habits."""

    async def play_all(api: str) -> None:
        async with a_stage(control_plane, operator_kubeconfig, logs, api) as stage:
            await stage.world.options(**options)
            await play_together(stage, [cell for cell in cells if cell.api == api and cell.cut is cut])

    async with asyncio.TaskGroup() as group:
        for api in BOTH:
            group.create_task(play_all(api))


class Matrix:
    """Plays all cells, a few at a time, and keeps what came of each."""

    def __init__(self, cells: tuple[Cell, ...]) -> None:
        self._results: dict[Cell, asyncio.Future[None]] = {
            cell: asyncio.get_running_loop().create_future() for cell in cells
        }
        self._left = list(reversed(cells))

    async def play(self, stages: dict[str, Stage]) -> None:
        while self._left:
            cell = self._left.pop()
            stage = stages[cell.api]
            try:
                await play(stage, cell, f"cell{len(self._left)}")
            except Exception as error:  # noqa: BLE001 - it is the test's to raise
                self._results[cell].set_exception(error)
                stage.world.operator.kill()
                await stage.restart()
            else:
                self._results[cell].set_result(None)

    async def result(self, cell: Cell) -> None:
        await self._results[cell]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def matrix(control_plane: ControlPlane, operator_kubeconfig: Path, logs: Path) -> AsyncIterator[Matrix]:
    played = Matrix(CELLS)
    async with AsyncExitStack() as stack:
        lanes = []
        for _ in range(LANES):
            stages = {
                api: await stack.enter_async_context(a_stage(control_plane, operator_kubeconfig, logs, api))
                for api in BOTH
            }
            lanes.append(asyncio.create_task(played.play(stages)))
        yield played
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)


@pytest.mark.chaos
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("cell", CELLS, ids=str)
async def test_killed_once_for_each_cell(matrix: Matrix, cell: Cell) -> None:
    await matrix.result(cell)
