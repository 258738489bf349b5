"""The images, from inside and at work: `make image-test`. What it prints is in deploy/image/README.md."""

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
from packaging.requirements import Requirement

from agora_transcription import __version__
from deploy.image.containers import IMAGE, STT_IMAGE, OperatorContainer, SttContainer, inspected, python, run
from support.dictation import dictate, wrong_words
from support.kube import Kube
from support.metrics import read_metrics
from support.processes import Simulator
from support.speech import sentences
from support.stt import KEY
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
STT_LIMIT_MIB = 1024
"""The same, of the Socket.IO service with one worker."""

NOT_WANTED = ("pip", "ensurepip", "setuptools", "wheel", "uv", "hatchling", "pytest")


IMAGES = {IMAGE: "runtime", STT_IMAGE: "stt"}
"""The variants, and which file of requirements/ is in them."""

every_image = pytest.mark.parametrize("image", IMAGES, ids=IMAGES.values())


@every_image
def test_it_says_what_it_is(image: str) -> None:
    labels = inspected(image)["Config"]["Labels"]
    name = "org.opencontainers.image"
    revision = labels[f"{name}.revision"]
    kind = subprocess.run(["git", "cat-file", "-t", revision], cwd=ROOT, capture_output=True, text=True, check=True)
    assert labels[f"{name}.version"] == __version__
    assert (len(revision), kind.stdout) == (40, "commit\n")
    assert labels[f"{name}.licenses"] == "Apache-2.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels[f"{name}.created"])
    assert run("--version", image=image).strip() == f"agora-transcription, version {__version__}"


@every_image
def test_it_runs_as_a_number_that_is_not_root(image: str) -> None:
    config = inspected(image)["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["agora-transcription"]
    assert python("import os; print([os.getuid(), os.getgid()])", image) == [65532, 65532]


def test_it_runs_as_whichever_user_the_cluster_gives_it() -> None:
    assert "--leader-elect" in run("operator", "--help", options=("--user=1000660000:0",))


@every_image
def test_nothing_in_it_builds_or_installs(image: str) -> None:
    modules = python(
        f"import importlib.util as u, json; print(json.dumps([n for n in {NOT_WANTED} if u.find_spec(n)]))", image
    )
    assert modules == []
    commands = ("pip", "pip3", "uv", "node", "npm", "gcc", "cc", "make", "git", "curl", "wget")
    assert python(f"import shutil, json; print(json.dumps([n for n in {commands} if shutil.which(n)]))", image) == []
    # Everywhere, so that neither interpreter of the base has them, nor a vulnerability scanner finds them.
    left = python(
        "import json, pathlib; print(json.dumps([str(p) for pattern in ('pip-*', 'setuptools-*', 'ensurepip',"
        " 'node_modules') for root in ('/usr', '/opt') for p in pathlib.Path(root).rglob(pattern)]))",
        image,
    )
    assert left == []


@every_image
def test_it_has_what_is_pinned_and_no_more(image: str) -> None:
    version = python("import json, platform; print(json.dumps(platform.python_version()))", image)
    lines = re.findall(
        r"^[\w.-]+==[^\\\n]+", (ROOT / "requirements" / f"{IMAGES[image]}.txt").read_text(), re.MULTILINE
    )
    asked = [Requirement(line) for line in lines]
    pinned = {
        (each.name, str(each.specifier).removeprefix("=="))
        for each in asked
        if each.marker is None or each.marker.evaluate({"python_version": version, "python_full_version": version})
    }
    code = (
        "import importlib.metadata, json; found = importlib.metadata.distributions();"
        "print(json.dumps([[d.name.lower(), d.version] for d in found]))"
    )
    normal = {(re.sub(r"[-_.]+", "-", name), version) for name, version in python(code, image)}
    assert normal == {*pinned, ("agora-transcription", __version__)}


@pytest.mark.parametrize(
    ("image", "modules"),
    [
        (IMAGE, "controller.operator, simulator.server, gateway.server"),
        (STT_IMAGE, "stt.server, stt.engines.moonshine, stt.engines.pocketsphinx"),
    ],
    ids=IMAGES.values(),
)
def test_what_is_loaded_has_byte_code(image: str, modules: str) -> None:
    """The root is read-only: what has none would be compiled at each start."""
    code = (
        f"import {', '.join(f'agora_transcription.{name}' for name in modules.split(', '))}, json, os, sys;"
        "specs = [s for s in (getattr(m, '__spec__', None) for m in sys.modules.values()) if s];"
        "sources = [s for s in specs if (s.origin or '').endswith('.py')];"
        "print(json.dumps([s.name for s in sources if not os.path.exists(s.cached)] if len(sources) > 500 else 'few'))"
    )
    assert python(code, image) == []


@every_image
def test_it_has_the_captions_page(image: str) -> None:
    """With what its page names, and the licences of what is in it."""
    code = (
        "import agora_transcription.gateway, json, pathlib;"
        "page = pathlib.Path(agora_transcription.gateway.__file__).with_name('page');"
        "files = [str(path.relative_to(page)) for path in page.rglob('*')];"
        "print(json.dumps([files, (page / 'index.html').read_text()]))"
    )
    files, html = python(code, image)
    named = re.findall(r'(?:src|href)="(assets/[^"]+)"', html)
    assert {path.partition(".")[2] for path in named} >= {"js", "css"}
    assert {*named, "licences.txt", "docs.html"} <= set(files)


def test_without_engines_it_says_where_they_are() -> None:
    assert "the image whose tag ends in -stt" in run("stt", "--anonymous", code=2)


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


async def test_it_transcribes_and_ends_when_told_to(logs: Path, tmp_path: Path) -> None:
    """With the engine of the chart's default, and nothing that can be written to."""
    stt = SttContainer(logs / "stt.log", with_a_key(tmp_path), "--workers=1")
    said = sentences()[:3]
    try:
        before = time.monotonic()
        await stt.start_and_wait()
        print(f"\n/readyz 200 after {time.monotonic() - before:.2f} s")
        print(f"at rest: {memory_of_all(stt):.0f} MiB")
        for speech in said:
            text = await dictate(stt.url, speech)
            assert wrong_words(text, speech.text) <= 2, f"{text} instead of {speech.text}"
        print(f"after {sum(speech.seconds for speech in said):.0f} s of speech: {memory_of_all(stt):.0f} MiB")
        assert memory_of_all(stt) < STT_LIMIT_MIB / 2
        assert stt.stop() == 0
    finally:
        stt.remove()


def memory_of_all(stt: SttContainer) -> float:
    """Memory of the container's processes, in MiB, what they share once."""
    code = (
        "import glob, re; texts = [open(p).read() for p in glob.glob('/proc/[0-9]*/smaps_rollup')];"
        "print(sum(int(re.search(r'^Pss: +([0-9]+)', t, re.M)[1]) for t in texts))"
    )
    return float(stt.container.python(code)) / 1024


def with_a_key(folder: Path) -> Path:
    """Write what a Pod finds of the Secret of keys, readable by any user."""
    (folder / "apiKeys").write_text(f"{KEY}\n")
    folder.chmod(0o755)
    return folder


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
