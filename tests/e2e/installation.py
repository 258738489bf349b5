"""The operator in a cluster with nodes, the simulator beside it, and what a user can see of both."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from agora_transcription.local.cluster import Cluster, KubectlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.kube import Body

OURS = "transcription.dev/e2e=true"
"""The label of the namespaces made here: where there are some, an earlier run has been interrupted."""
LABELS = ("pod-security.kubernetes.io/enforce=restricted", OURS)
OPERATOR = "agora-transcription-operator"
"""The name of the Deployment, and of its Lease."""

DEPLOY = Path(__file__).parents[2] / "deploy"

_began = time.monotonic()

Kind = TypeVar("Kind", bound="Installation")


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done and how long it took: a run takes minutes."""
    start = time.monotonic()
    print(f"\n[{start - _began:4.0f} s] {what} ...", end=" ", flush=True)
    yield
    print(f"{time.monotonic() - start:.1f} s", end="", flush=True)


class Installation:
    """An operator in one namespace, and its tasks in the same or another one."""

    def __init__(self, cluster: Cluster, image: str, namespace: str, tasks: str) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.tasks = tasks
        self.image = image

    def prepare(self) -> None:
        """Make the namespaces, and start the simulator under the same rules as the operator."""
        for namespace in {self.namespace, self.tasks}:
            self.cluster.kubectl("create", "namespace", namespace)
            self.cluster.kubectl("label", "namespace", namespace, *LABELS)
        documents = list(yaml.safe_load_all((DEPLOY / "simulator" / "simulator.yaml").read_text()))
        for document in documents:
            if document["kind"] == "Deployment":
                container = document["spec"]["template"]["spec"]["containers"][0]
                container |= {"image": self.image, "imagePullPolicy": "IfNotPresent"}
        self.cluster.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=yaml.safe_dump_all(documents))
        self.task("apply", "-f", str(DEPLOY / "samples" / "credentials.yaml"))
        self.rolled_out("simulator")

    def remove(self) -> None:
        """Leave nothing behind but the CRD, whatever there is."""
        if self.crd():
            for task in self.task("get", "ttask", "-o", "name").split():
                # No operator may be left that would do it.
                self.task("patch", task, "--type=merge", '--patch={"metadata": {"finalizers": null}}')
        for namespace in {self.tasks, self.namespace}:
            self.cluster.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s")

    def rolled_out(self, deployment: str) -> None:
        where = ("-n", self.namespace, f"deployment/{deployment}")
        try:
            self.cluster.kubectl("rollout", "status", *where, "--timeout=120s")
        except KubectlError as error:
            raise AssertionError(f"{error}\n{self.pods('describe')}") from None

    def crd(self) -> str:
        """The name of the CRD; empty where it is not there."""
        name = "crd/transcriptiontasks.transcription.dev"
        return self.cluster.kubectl("get", name, "--ignore-not-found", "-o", "name").strip()

    def pods(self, verb: str, *options: str) -> str:
        return self.cluster.kubectl(
            verb, "pods", "-n", self.namespace, "-l", "app.kubernetes.io/component=operator", *options
        )

    def leader(self) -> str:
        """The Pod that holds the Lease; empty while none does."""
        path = "jsonpath={.spec.holderIdentity}"
        return self.cluster.kubectl("get", "-n", self.namespace, "lease", OPERATOR, "-o", path).partition("_")[0]

    def task(self, *arguments: str) -> str:
        return self.cluster.kubectl("-n", self.tasks, *arguments)

    def status(self) -> Body:
        found: Body = json.loads(self.task("get", "ttask/standup", "-o", "json"))["status"]
        return found

    def start(self) -> Body:
        """Apply the sample, and wait until it runs; answers its status."""
        self.task("apply", "-f", str(DEPLOY / "samples" / "transcriptiontask.yaml"))
        self.task("wait", "--for=condition=Ready", "ttask/standup", "--timeout=60s")
        assert self.live() == [self.status()["taskId"]]
        return self.status()

    def speak(self, *languages: str) -> None:
        """Change the languages, and wait until Agora has them."""
        self.task("patch", "ttask/standup", "--type=merge", f"--patch={json.dumps({'spec': {'languages': languages}})}")
        self.task("wait", "--for=condition=Ready", "ttask/standup", "--timeout=60s")
        assert self.status()["applied"]["languages"] == list(languages)

    def end(self) -> None:
        """Delete the task; nothing of it is left, and it was only ever one."""
        self.task("delete", "ttask/standup", "--timeout=60s")
        assert self.live() == []
        assert self.agora("/simulator/doubles") == []

    def agora(self, page: str) -> Any:
        """What the simulator says, through the API server's proxy."""
        proxy = f"/api/v1/namespaces/{self.namespace}/services/simulator:8090/proxy"
        return json.loads(self.cluster.kubectl("get", "--raw", f"{proxy}{page}"))

    def starts(self) -> int:
        """How many starts Agora has been asked for."""
        return sum(call["operation"] == "join" for call in self.agora("/simulator/calls"))

    def live(self) -> list[str]:
        """The ids of the Agora tasks that run."""
        return [task["taskId"] for task in self.agora("/simulator/tasks?live=true")]


class Release(Installation):
    """One made by Helm."""

    def __init__(self, cluster: Cluster, image: str, helm: Path) -> None:
        super().__init__(cluster, image, "agora-e2e", "agora-e2e-tasks")
        self._helm = helm

    def helm(self, *arguments: str) -> str:
        where = ["--kubeconfig", str(self.cluster.kubeconfig), "--namespace", self.namespace]
        done = subprocess.run([str(self._helm), *where, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}\n{self.pods('describe')}"
        return done.stdout

    def put(self, verb: str, chart: Path, **components: dict[str, Any]) -> str:
        """Install or upgrade with these values of components, and wait until all is rolled out; answers the notes."""
        repository, _, tag = self.image.rpartition(":")
        operator = {"replicas": 2, "agoraUrl": f"http://simulator.{self.namespace}:8090"}
        operator |= components.pop("operator", {})
        image = {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"}
        values = {"image": image, "operator": operator, **components}
        path = self.cluster.directory / "values.yaml"
        path.write_text(yaml.safe_dump(values))
        return self.helm(verb, "agora-transcription", str(chart), "--values", str(path), "--wait", "--timeout", "3m")

    def package(self, version: str, directory: Path) -> Path:
        """Pack the chart under another version, as an earlier release would be."""
        self.helm("package", str(DEPLOY / "chart"), "--version", version, "--destination", str(directory))
        return directory / f"agora-transcription-{version}.tgz"

    def uninstall(self) -> str:
        return self.helm("uninstall", "agora-transcription", "--ignore-not-found", "--wait")

    def remove(self) -> None:
        self.uninstall()
        super().remove()


class Manifests(Installation):
    """One made by `kubectl apply -k`."""

    def __init__(self, cluster: Cluster, image: str, variant: str, tasks: str) -> None:
        super().__init__(cluster, image, "agora-transcription", tasks)
        self._overlay = cluster.directory / variant
        self._variant = variant

    def remove(self) -> None:
        """Leave nothing behind, nor what belongs to no namespace: Helm would not take it for its own."""
        super().remove()
        part = ("-l", "app.kubernetes.io/part-of=agora-transcription")
        self.cluster.kubectl("delete", "crds,clusterroles,clusterrolebindings", *part, "--timeout=60s")

    def apply(self) -> None:
        """Apply with the image under test and the simulator for Agora, as an overlay of one's own would have it."""
        repository, _, tag = self.image.rpartition(":")
        url = f"--agora-url=http://simulator.{self.namespace}:8090"
        patch = [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": url}]
        overlay = {
            "resources": [os.path.relpath(DEPLOY / "kustomize" / self._variant, self._overlay)],
            "images": [
                {"name": "ghcr.io/agora-transcription/agora-transcription", "newName": repository, "newTag": tag}
            ],
            "patches": [{"target": {"kind": "Deployment", "name": OPERATOR}, "patch": json.dumps(patch)}],
        }
        if self._variant == "namespaced":  # which has nothing of the cluster
            self.cluster.kubectl("apply", "--server-side", "-k", str(DEPLOY / "kustomize" / "cluster"))
        self._overlay.mkdir(exist_ok=True)
        (self._overlay / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        self.cluster.kubectl("apply", "--server-side", "-k", str(self._overlay))
        self.rolled_out(OPERATOR)


def prepared(installation: Kind, name: str) -> Iterator[Kind]:
    """An installation without anything of an earlier run, of which nothing is left afterwards."""
    with step(f"{name}: clean up what an earlier run may have left"):
        installation.remove()
    with step("namespaces that enforce restricted Pod Security, and the simulator"):
        installation.prepare()
    yield installation
    with step("clean up"):
        installation.remove()
