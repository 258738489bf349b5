"""A task in git, as a real Argo CD brings it to the cluster, with the samples of deploy/argocd: `make argocd-test`."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
import yaml

from agora_transcription.api import API_VERSION, KIND
from support.argocd import ArgoCD, Repository, cluster_of_argocd
from support.kube import has_reason
from support.world import CREDENTIALS, World, a_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from agora_transcription.local.cluster import Cluster

pytestmark = [pytest.mark.argocd, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "deploy" / "argocd"
BUSY = {"status": 503, "body": "<html>busy</html>", "times": 0}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    found = cluster_of_argocd(tmp_path_factory.mktemp("cluster"))
    found.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    established = "jsonpath={.status.conditions[?(@.type=='Established')].status}=True"
    found.kubectl("wait", f"--for={established}", "crd/transcriptiontasks.transcription.dev", "--timeout=30s")
    found.kubectl("apply", "-k", str(ROOT / "deploy" / "kustomize" / "rbac"))
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(cluster: Cluster, logs: Path) -> AsyncIterator[World]:
    namespace = f"test-{secrets.token_hex(4)}"
    cluster.kubectl("create", "namespace", namespace)
    operator = cluster.service_account_kubeconfig("agora-transcription", "agora-transcription-operator")
    async with a_world(cluster.kubeconfig, operator, namespace, logs) as made:
        yield made
        cluster.kubectl("delete", "namespace", namespace, "--timeout=60s")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def argocd(cluster: Cluster, world: World) -> AsyncIterator[ArgoCD]:
    with ArgoCD(cluster) as argocd, argocd.configured(SAMPLES / "argocd-cm.yaml"):
        yield argocd
        # What a test that failed has left; the operator of this world still runs, to end the tasks.
        (await world.agora.delete("/simulator/faults")).raise_for_status()
        left = {seen.name for seen in argocd.seen() if seen.name.endswith(world.kube.namespace)}
        for name in left:
            argocd.delete(name)
        for name in left:
            await argocd.gone(name)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    made = Repository(tmp_path)
    yield made
    made.forget()


def task(name: str, **spec: Any) -> dict[str, Any]:
    """A manifest with lists, and objects that have defaults in them: what a comparison may stumble over."""
    given = {
        "channel": f"room-{name}",
        "languages": ["en-US"],
        "translation": {"languages": [{"source": "en-US", "targets": ["es-ES", "de-DE"]}]},
        "uidLanguages": [{"uid": "7", "languages": ["fr-FR"]}],
        "subscribeAudioUids": ["7", "8"],
        "keywords": ["Kubernetes", "Agora"],
        "captions": {"format": "Json"},
    }
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": given | spec}


def application(file: str, suffix: str, repository: Repository, argocd: ArgoCD, namespace: str) -> dict[str, Any]:
    """A sample as its user would change it: where it reads and writes, and a name that is free."""
    sample: dict[str, Any] = yaml.safe_load((SAMPLES / file).read_text())
    sample["metadata"] |= {"name": f"{sample['metadata']['name']}-{suffix}", "namespace": argocd.namespace}
    path = sample["spec"]["source"].get("path", "transcription/operator")
    sample["spec"]["source"] = {"repoURL": repository.url, "targetRevision": repository.branch, "path": path}
    sample["spec"]["destination"] = {"server": argocd.destination(), "namespace": namespace}
    return sample


async def test_a_task_in_git_from_its_creation_to_its_end(world: World, argocd: ArgoCD, repository: Repository) -> None:
    namespace = world.kube.namespace
    sample = application("apps/tasks.yaml", f"life-{namespace}", repository, argocd, namespace)
    name = sample["metadata"]["name"]

    # Progressing for as long as Agora has not taken it, Healthy when it runs.
    await world.faults({"operation": "join", **BUSY})
    first = repository.push(
        **{"transcription/tasks/standup": task("standup"), "transcription/tasks/retro": task("retro")}
    )
    argocd.apply(sample)
    await argocd.reaches(name, first, "Progressing")
    (await world.agora.delete("/simulator/faults")).raise_for_status()
    await argocd.reaches(name, first, "Healthy")
    started = await world.running("standup")
    assert "Healthy" not in healths(argocd, name, before="Progressing")

    # A change is followed in place.
    second = repository.push(**{"transcription/tasks/standup": task("standup", languages=["en-US", "fr-FR"])})
    await argocd.reaches(name, second, "Healthy")
    changed = await world.running("standup")
    assert changed["status"]["applied"]["languages"] == ["en-US", "fr-FR"]
    assert changed["status"]["taskId"] == started["status"]["taskId"]
    done = [call["operation"] for call in await world.calls("join|update|leave", "standup") if call["code"] == 200]
    assert done == ["join", "update"]

    # A missing Secret: somebody has to do something.
    await world.kube.delete_secret("agora-credentials")
    await world.kube.wait("standup", has_reason("SecretNotFound"))
    await argocd.reaches(name, second, "Degraded")
    await world.kube.put_secret("agora-credentials", CREDENTIALS)
    await argocd.reaches(name, second, "Healthy")

    # Agora does not answer: it is tried again.
    await world.faults({"operation": "query", **BUSY})
    await world.kube.wait("standup", has_reason("AgoraUnavailable"))
    await argocd.reaches(name, second, "Progressing")
    (await world.agora.delete("/simulator/faults")).raise_for_status()
    await argocd.reaches(name, second, "Healthy")
    assert (await world.running("standup"))["status"]["taskId"] == started["status"]["taskId"]

    # Suspended and resumed.
    third = repository.push(**{"transcription/tasks/standup": task("standup", suspend=True)})
    await argocd.reaches(name, third, "Suspended")
    assert await world.live("standup") == []
    fourth = repository.push(**{"transcription/tasks/standup": task("standup")})
    await argocd.reaches(name, fourth, "Healthy")
    assert len(await world.live("standup")) == 1

    # What is taken out of git ends at Agora, and the other goes on.
    fifth = repository.push(**{"transcription/tasks/standup": None})
    await argocd.reaches(name, fifth, "Healthy")
    await world.kube.wait_gone("standup")
    assert await world.live("standup") == []
    assert len(await world.live("retro")) == 1

    # In all this nothing differed from git; what somebody else changes does, and is put back.
    assert argocd.drifts(name) == []
    await world.kube.patch("retro", {"languages": ["de-DE"]})
    await argocd.wait(name, lambda _: argocd.drifts(name) != [], "OutOfSync")
    await argocd.reaches(name, fifth, "Healthy")
    assert (await world.running("retro"))["spec"]["languages"] == ["en-US"]

    argocd.delete(name)
    await argocd.gone(name)
    assert await world.kube.get("retro") is None
    assert await world.tasks(live="true") == []


async def test_the_operator_goes_after_the_tasks(world: World, argocd: ArgoCD, repository: Repository) -> None:
    """By the waves of the sample: otherwise nobody would be there to end the tasks and take the finalizers away."""
    namespace = world.kube.namespace
    root, operator, tasks = (
        application(file, f"order-{namespace}", repository, argocd, at)
        for file, at in (
            ("apps.yaml", argocd.namespace),
            ("apps/operator.yaml", namespace),
            ("apps/tasks.yaml", namespace),
        )
    )
    stand_in = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "operator"}}
    revision = repository.push(
        **{
            "transcription/apps/operator": operator,
            "transcription/apps/tasks": tasks,
            "transcription/operator/operator": stand_in,
            "transcription/tasks/weekly": task("weekly"),
        }
    )
    argocd.apply(root)
    root_name, operator_name, tasks_name = (made["metadata"]["name"] for made in (root, operator, tasks))
    await argocd.reaches(root_name, revision, "Healthy")
    seen = argocd.seen()
    healthy = next(at for at, now in enumerate(seen) if (now.name, now.health) == (operator_name, "Healthy"))
    added = next(at for at, now in enumerate(seen) if (now.name, now.event) == (tasks_name, "ADDED"))
    assert healthy < added
    await world.running("weekly")

    await world.faults({"operation": "leave", **BUSY})
    argocd.delete(root_name)
    await world.kube.wait("weekly", lambda body: "deletionTimestamp" in body["metadata"])
    await asyncio.gather(*(argocd.refresh(name) for name in (root_name, operator_name)))
    assert argocd.seen(operator_name)[-1].deletion == ""
    (await world.agora.delete("/simulator/faults")).raise_for_status()
    await argocd.gone(root_name)
    events = [(seen.event, seen.name) for seen in argocd.seen()]
    assert events.index(("DELETED", tasks_name)) < events.index(("DELETED", operator_name))
    assert await world.kube.get("weekly") is None
    assert await world.live("weekly") == []


def healths(argocd: ArgoCD, name: str, *, before: str) -> set[str]:
    """What was said of the health before this was."""
    said = [seen.health for seen in argocd.seen(name)]
    return set(said[: said.index(before)])
