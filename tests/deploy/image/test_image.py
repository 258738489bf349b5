"""The image, from inside and at work: `make image-test`. What it prints is in deploy/image/README.md."""

from __future__ import annotations

import asyncio
import base64
import re
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

from agora_transcription import __version__
from deploy.image.containers import OperatorContainer, inspected, python, run
from support.kube import Kube
from support.metrics import read_metrics
from support.processes import Simulator
from support.world import CREDENTIALS, World

if TYPE_CHECKING:
    from agora_transcription.local.controlplane import ControlPlane

pytestmark = pytest.mark.image

ROOT = Path(__file__).parents[3]

TASKS = 1000
REST_SECONDS = 60
VERSION_SECONDS = 3
HEALTHY_SECONDS = 10
MIB = 2**20
LIMIT_MIB = 512
"""The chart's limit: nothing that is measured here may come near it."""

NOT_WANTED = ("pip", "ensurepip", "setuptools", "wheel", "uv", "hatchling", "pytest")


def test_it_says_what_it_is() -> None:
    labels = inspected()["Config"]["Labels"]
    name = "org.opencontainers.image"
    revision = labels[f"{name}.revision"]
    kind = subprocess.run(["git", "cat-file", "-t", revision], cwd=ROOT, capture_output=True, text=True, check=True)
    assert labels[f"{name}.version"] == __version__
    assert (len(revision), kind.stdout) == (40, "commit\n")
    assert labels[f"{name}.licenses"] == "Apache-2.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels[f"{name}.created"])
    assert run("--version").strip() == f"agora-transcription, version {__version__}"


def test_it_runs_as_a_number_that_is_not_root() -> None:
    config = inspected()["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["agora-transcription"]
    assert python("import os; print([os.getuid(), os.getgid()])") == [65532, 65532]


def test_it_runs_as_whichever_user_the_cluster_gives_it() -> None:
    assert "--leader-elect" in run("operator", "--help", options=("--user=1000660000:0",))


def test_nothing_in_it_builds_or_installs() -> None:
    modules = python(
        f"import importlib.util as u, json; print(json.dumps([n for n in {NOT_WANTED} if u.find_spec(n)]))"
    )
    assert modules == []
    commands = ("pip", "pip3", "uv", "gcc", "cc", "make", "git", "curl", "wget")
    assert python(f"import shutil, json; print(json.dumps([n for n in {commands} if shutil.which(n)]))") == []
    # Everywhere, so that neither interpreter of the base has them, nor a vulnerability scanner finds them.
    left = python(
        "import json, pathlib; print(json.dumps([str(p) for pattern in ('pip-*', 'setuptools-*', 'ensurepip')"
        " for root in ('/usr', '/opt') for p in pathlib.Path(root).rglob(pattern)]))"
    )
    assert left == []


def test_it_has_what_is_pinned_and_no_more() -> None:
    pinned = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements" / "runtime.txt").read_text(), re.MULTILINE)
    code = (
        "import importlib.metadata, json; found = importlib.metadata.distributions();"
        "print(json.dumps([[d.name.lower(), d.version] for d in found]))"
    )
    normal = {(re.sub(r"[-_.]+", "-", name), version) for name, version in python(code)}
    assert normal == {*pinned, ("agora-transcription", __version__)}


def test_what_is_loaded_has_byte_code() -> None:
    """The root is read-only: what has none would be compiled at each start."""
    code = (
        "import agora_transcription.controller.operator, agora_transcription.simulator.server, json, os, sys;"
        "specs = [s for s in (getattr(m, '__spec__', None) for m in sys.modules.values()) if s];"
        "sources = [s for s in specs if (s.origin or '').endswith('.py')];"
        "print(json.dumps([s.name for s in sources if not os.path.exists(s.cached)] if len(sources) > 500 else 'few'))"
    )
    assert python(code) == []


def test_it_starts_soon() -> None:
    took = []
    for _ in range(5):
        before = time.monotonic()
        run("--version")
        took.append(time.monotonic() - before)
    print(f"\n--version, with the container's own start: {statistics.median(took):.2f} s")
    assert statistics.median(took) < VERSION_SECONDS


async def test_it_runs_tasks_and_ends_when_told_to(
    control_plane: ControlPlane, operator_kubeconfig: Path, namespace: str, logs: Path, tmp_path: Path
) -> None:
    """With production roles, as in a cluster: a thousand tasks, at rest, and SIGTERM."""
    server = mount_service_account(tmp_path, operator_kubeconfig)
    simulator = Simulator(logs / "simulator.log")
    operator = OperatorContainer(
        logs / "operator.log",
        tmp_path,
        server,
        simulator.url,
        f"--namespace={namespace}",
        "--requests-per-second=0",
        "--log-level=info",
    )
    try:
        await simulator.start_and_wait()
        async with (
            Kube(control_plane.kubeconfig, namespace) as kube,
            httpx.AsyncClient(base_url=simulator.url) as agora,
        ):
            await kube.put_secret("agora-credentials", CREDENTIALS)
            await figures(World(kube, simulator, operator, agora))
        assert operator.stop() == 0
    finally:
        operator.remove()
        simulator.kill()


def mount_service_account(folder: Path, kubeconfig: Path) -> str:
    """Write what a Pod finds of its service account, readable by any user; answers the API server's URL."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    (folder / "token").write_text(user["token"])
    (folder / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    (folder / "namespace").write_text("agora-transcription")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    return str(cluster["server"])


async def figures(world: World) -> None:
    """Start, rest, run a thousand tasks, rest again; prints what each took."""
    before = time.monotonic()
    world.operator.start()
    await world.operator.wait_for(f"{world.operator.health}/healthz")
    healthy = time.monotonic() - before
    print(f"\n/healthz 200 after {healthy:.2f} s")
    await world.operator.wait_for(f"{world.operator.health}/readyz")
    print(f"/readyz 200 after {time.monotonic() - before:.2f} s")
    assert healthy < HEALTHY_SECONDS
    assert await memory_at_rest(world, "no task") < LIMIT_MIB / 2
    names = [f"t{number:04}" for number in range(TASKS)]
    gate = asyncio.Semaphore(16)

    async def create(name: str) -> None:
        async with gate:
            await world.create(name)

    before = time.monotonic()
    await asyncio.gather(*(create(name) for name in names))
    for name in names:
        await world.running(name, 300)
    print(f"{TASKS} tasks Running after {time.monotonic() - before:.0f} s")
    assert await memory_at_rest(world, f"{TASKS} tasks") < LIMIT_MIB / 2


async def memory_at_rest(world: World, what: str) -> float:
    """Read the process's own metrics for a while: the most memory, in MiB, and the CPU."""
    resident = []
    value = await read_metrics(world.operator.metrics)
    cpu, before = value("process_cpu_seconds_total") or 0, time.monotonic()
    while time.monotonic() - before < REST_SECONDS:
        value = await read_metrics(world.operator.metrics)
        resident.append((value("process_resident_memory_bytes") or 0) / MIB)
        await asyncio.sleep(1)  # what is measured is how it rests
    used = ((value("process_cpu_seconds_total") or 0) - cpu) / (time.monotonic() - before)
    print(f"{what}: {max(resident):.0f} MiB, {used * 1000:.0f} m of a core")
    return max(resident)
