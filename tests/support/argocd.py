"""A real Argo CD, the repository that it reads, and Applications in it: what the test with one stands on."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest
import yaml

from agora_transcription.local.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

__all__ = ["ArgoCD", "Repository", "Seen", "cluster_of_argocd"]

NEEDS = """give ARGOCD_KUBECONFIG and ARGOCD_CONTEXT: a cluster with an Argo CD that may be changed

| variable | |
|---|---|
| ARGOCD_KUBECONFIG, ARGOCD_CONTEXT | the cluster that Argo CD runs for, by an administrator's context |
| ARGOCD_NAMESPACE | where its Applications are; by default argocd |
| ARGOCD_REPO_URL | a git repository that this machine may push to and Argo CD read; by default a folder, by file://,
                    which does for an Argo CD on this machine |"""


def cluster_of_argocd(directory: Path) -> Cluster:
    """The cluster that the environment names; never one that only a kubeconfig's current context does."""
    given, context = os.environ.get("ARGOCD_KUBECONFIG"), os.environ.get("ARGOCD_CONTEXT")
    if not (given and context):
        pytest.fail(NEEDS, pytrace=False)
    return Cluster.of_context(context, directory, given)


class Repository:
    """A git repository with a branch of its own for the test."""

    def __init__(self, directory: Path) -> None:
        self.branch = f"test-{secrets.token_hex(4)}"
        self.url = os.environ.get("ARGOCD_REPO_URL", "")
        self._work = directory / "work"
        if not self.url:
            bare = directory / "repository.git"
            _run("git", "init", "--quiet", "--bare", str(bare))
            self.url = f"file://{bare}"
        _run("git", "init", "--quiet", f"--initial-branch={self.branch}", str(self._work))
        self._git("config", "user.name", "test")
        self._git("config", "user.email", "test@example.invalid")

    def push(self, **files: dict[str, Any] | None) -> str:
        """Commit these files, named by their path without .yaml (None takes one away), and push; answers the commit."""
        for name, content in files.items():
            path = self._work / f"{name}.yaml"
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content))
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", f"Change {', '.join(files)}")
        self._git("push", "--quiet", self.url, self.branch)
        return self._git("rev-parse", "HEAD").strip()

    def forget(self) -> None:
        """Take the branch away."""
        self._git("push", "--quiet", "--delete", self.url, self.branch)

    def _git(self, *arguments: str) -> str:
        return _run("git", "-C", str(self._work), *arguments)


class Seen(NamedTuple):
    """An Application at one moment: one line of the watch."""

    event: str
    name: str
    revision: str
    sync: str
    health: str
    refresh: str
    deletion: str


_LINE = "|".join(
    f"{{.{path}}}"
    for path in (
        "type",
        "object.metadata.name",
        "object.status.sync.revision",
        "object.status.sync.status",
        "object.status.health.status",
        r"object.metadata.annotations.argocd\.argoproj\.io/refresh",
        "object.metadata.deletionTimestamp",
    )
)


class ArgoCD:
    """The Applications of an Argo CD, watched for as long as the `with` block lasts, so that nothing is missed."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.namespace = os.environ.get("ARGOCD_NAMESPACE", "argocd")
        self._log = cluster.directory / "applications.log"
        self._watch: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [str(self.cluster.kubectl_binary), f"--kubeconfig={self.cluster.kubeconfig}"]
        command += ["get", "applications", f"--namespace={self.namespace}", "--watch", "--output-watch-events"]
        with self._log.open("wb") as log:
            self._watch = subprocess.Popen([*command, f"--output=jsonpath={_LINE}{{'\\n'}}"], stdout=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._watch is not None
        self._watch.terminate()
        self._watch.wait()

    def seen(self, name: str | None = None) -> list[Seen]:
        """All that has been seen of one Application, or of all."""
        assert self._watch is not None
        assert self._watch.poll() is None, "the watch of the Applications has ended"
        whole = self._log.read_text().rpartition("\n")[0]
        lines = [Seen(*line.split("|")) for line in whole.splitlines()]
        return [seen for seen in lines if name in {None, seen.name}]

    def destination(self) -> str:
        """The cluster as Argo CD calls it: by a server that it was given, or its own."""
        own = json.loads(self._kubectl("config", "view", "--output=json"))["clusters"][0]["cluster"]["server"]
        found = self._kubectl("get", "secrets", "--selector=argocd.argoproj.io/secret-type=cluster", "--output=json")
        known = {base64.b64decode(secret["data"]["server"]).decode() for secret in json.loads(found)["items"]}
        return own if own in known else "https://kubernetes.default.svc"

    @contextmanager
    def configured(self, patch: Path) -> Iterator[None]:
        """Patch argocd-cm, and put back in the end what was there."""
        keys = yaml.safe_load(patch.read_text())["data"]
        before = json.loads(self._kubectl("get", "configmap", "argocd-cm", "--output=json")).get("data", {})
        self._kubectl("patch", "configmap", "argocd-cm", "--type=merge", f"--patch-file={patch}")
        yield
        restored = json.dumps({"data": {key: before.get(key) for key in keys}})
        self._kubectl("patch", "configmap", "argocd-cm", "--type=merge", f"--patch={restored}")

    def apply(self, application: dict[str, Any]) -> None:
        """Make an Application, or change it."""
        self._kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(application))

    def delete(self, name: str) -> None:
        """Begin to delete it, and what it has made."""
        self._kubectl("delete", "application", name, "--wait=false", "--ignore-not-found")

    async def wait(self, name: str, until: Callable[[Seen], bool], what: str, timeout: float = 60) -> None:
        """Wait until the newest that was seen of an Application is as wanted."""
        try:
            async with asyncio.timeout(timeout):
                while not (seen := self.seen(name)) or not until(seen[-1]):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            shown = "\n".join(map(str, self.seen(name)))
            status = self._kubectl("get", "application", name, "--ignore-not-found", "--output=jsonpath={.status}")
            raise AssertionError(f"{name} is not {what}; seen:\n{shown}\n{status}") from None

    async def refresh(self, name: str) -> None:
        """Have Argo CD read the repository and compare everything anew, and wait until it has."""
        self._kubectl("annotate", "--overwrite", "application", name, "argocd.argoproj.io/refresh=hard")
        asked = len(self.seen(name))
        await self.wait(name, lambda seen: not seen.refresh and len(self.seen(name)) > asked, "refreshed")

    async def reaches(self, name: str, revision: str, health: str) -> None:
        """Wait until an Application is Synced with a commit, and has this health."""
        await self.refresh(name)
        wanted = (revision, "Synced", health)
        await self.wait(name, lambda seen: (seen.revision, seen.sync, seen.health) == wanted, str(wanted))

    async def gone(self, name: str) -> None:
        """Wait until an Application has been deleted, and what it has made."""
        await self.wait(name, lambda seen: seen.event == "DELETED", "gone")

    def drifts(self, name: str) -> list[Seen]:
        """When a commit was said to differ after all had been Synced with it."""
        synced: set[str] = set()
        found = []
        for seen in self.seen(name):
            if seen.sync == "Synced":
                synced.add(seen.revision)
            elif seen.revision in synced:
                found.append(seen)
        return found

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.cluster.kubectl(*arguments, f"--namespace={self.namespace}", stdin=stdin)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
