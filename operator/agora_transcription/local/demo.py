"""The demo: everything that the operator does, on this machine, each step checked.

A real control plane (or a cluster that is there already), the operator under the rights that it has in production, and
the simulator in Agora's place. Everything of it is in one private folder and in processes that end with this one.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agora_transcription.api import FINALIZER
from agora_transcription.local import admission, captions, story
from agora_transcription.local.addresses import answers, free_addresses
from agora_transcription.local.binaries import BinariesNotFoundError, find_binaries
from agora_transcription.local.cluster import Cluster, KubectlError
from agora_transcription.local.controlplane import ControlPlane, StartTimeoutError
from agora_transcription.local.manifests import Manifests, find_manifests
from agora_transcription.local.processes import GuardedProcess, ProcessEndedError
from agora_transcription.local.terminal import StepFailed, Terminal, relative

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["run"]

NAMESPACE: Final = "agora-transcription-demo"
"""Of its own, and the only one that the demo's operator watches: it must not touch the tasks of a cluster in use."""

SERVICE_ACCOUNT: Final = ("agora-transcription", "agora-transcription-operator")

POLICY_SECONDS: Final = 30.0
"""Six times what an API server takes to see a new CRD."""

INTERRUPTED: Final = 130
"""The exit code of a process that Ctrl-C ended."""


def run(*, keep: bool, kubeconfig: str | None, speech: captions.Speech | None = None) -> int:
    """Set everything up, act the story and take everything down.

    Args:
        keep: leave everything running at the end, with a task, until Ctrl-C.
        kubeconfig: of a cluster to use instead of a control plane of the demo's own.
        speech: act the story of its captions; absent: that of a task's life.

    Returns:
        The exit code: 0 only if each step was seen to happen.
    """
    began = time.monotonic()
    try:
        manifests = find_manifests()
        with ExitStack() as stack:
            cluster = stack.enter_context(_existing(kubeconfig) if kubeconfig else _own())
            terminal = _terminal(cluster, stack)
            try:
                agora, metrics = _set_up(terminal, cluster, manifests, stack, existing=kubeconfig is not None)
                transcription = None
                if speech is None:
                    story.tell(terminal, manifests.samples, agora)
                else:
                    transcription = captions.tell(terminal, cluster, manifests.samples, agora, NAMESPACE, speech)
                    if not keep:
                        captions.finish(terminal, agora, transcription)
                print(f"\nEach step was seen to happen, in {time.monotonic() - began:.0f} s.", flush=True)
                if keep:
                    if transcription is None:
                        story.apply_samples(terminal, manifests.samples)
                    _keep(terminal, cluster, agora, metrics, transcription)
            except (StepFailed, KubectlError, ProcessEndedError) as error:
                # Here, before everything is taken down: the logs go with it.
                _report(error, terminal)
                return 1
    except KeyboardInterrupt:
        print("\nInterrupted; everything is ended.", file=sys.stderr)
        return INTERRUPTED
    except (BinariesNotFoundError, FileNotFoundError, KubectlError, ProcessEndedError, StartTimeoutError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _own() -> Iterator[Cluster]:
    binaries = find_binaries()
    print("Starting etcd and kube-apiserver ...", flush=True)
    with ControlPlane(binaries) as control_plane:
        yield control_plane


@contextmanager
def _existing(kubeconfig: str) -> Iterator[Cluster]:
    """By a kubeconfig of the demo's own, in which it changes the namespace: the user's stays as it is."""
    with tempfile.TemporaryDirectory(prefix="agora-transcription-") as directory:
        yield Cluster.of_context(None, Path(directory), kubeconfig)


def _terminal(cluster: Cluster, stack: ExitStack) -> Terminal:
    environment = os.environ | {
        "KUBECONFIG": str(cluster.kubeconfig),
        "KUBECACHEDIR": str(cluster.directory / "kubectl-cache"),
        "PATH": f"{cluster.kubectl_binary.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        # The simulator is on this machine, whatever proxy leads to the rest of the world.
        "NO_PROXY": f"127.0.0.1,localhost,{os.environ.get('NO_PROXY', '')}",
    }
    check = cluster.check if isinstance(cluster, ControlPlane) else lambda: None
    terminal = Terminal(cluster.directory, environment, check)
    stack.callback(terminal.close)
    return terminal


def _set_up(
    terminal: Terminal, cluster: Cluster, manifests: Manifests, stack: ExitStack, *, existing: bool
) -> tuple[str, str]:
    """Install the CRD and the roles, start the simulator and the operator; answers the URLs of Agora and /metrics."""
    terminal.say("What an administrator does once: the resource, and the operator's account and roles.")
    terminal.run("kubectl", "apply", "-f", relative(manifests.crds), expect="the API server takes the CRD")
    crd = "crd/transcriptiontasks.transcription.dev"
    terminal.run("kubectl", "wait", "--for=condition=Established", crd, "--timeout=30s", expect="the CRD is served")
    terminal.run("kubectl", "apply", "-k", relative(manifests.rbac), expect="the API server takes the roles")
    # Elsewhere it would be in the way of everybody's tasks once no operator runs.
    has_policy = not existing and admission.is_known(cluster)
    if has_policy:
        terminal.say("The API server gives new tasks their finalizer, so that the operator need not write it.")
        terminal.run(
            *("kubectl", "apply", "--server-side", "-k", relative(manifests.admission)),
            expect="the API server takes the policy",
        )

    terminal.say(
        "An Agora on this machine, and the operator: as its ServiceAccount, with the rights of its roles alone."
    )
    simulator = terminal.start("simulator", "--listen=127.0.0.1:0", ready=lambda process: _url(process) is not None)
    agora = _url(simulator) or ""
    print(simulator.log_tail(1), flush=True)
    metrics, health = free_addresses(2)
    terminal.start(
        "operator",
        f"--kubeconfig={cluster.service_account_kubeconfig(*SERVICE_ACCOUNT)}",
        f"--namespace={NAMESPACE}",
        f"--agora-url={agora}",
        f"--metrics-address={metrics}",
        f"--health-address={health}",
        ready=lambda _: answers(f"http://{health}/readyz"),
    )

    if has_policy:
        _wait_for_policy(terminal, cluster)
    if existing:
        # A demo that was killed may have left a task, whose finalizer needs the operator to go.
        cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s")
        stack.callback(_leave, cluster)
    terminal.say("A namespace to work in.")
    terminal.run("kubectl", "create", "namespace", NAMESPACE, expect="the namespace is created")
    terminal.run(
        *("kubectl", "config", "set-context", "--current", f"--namespace={NAMESPACE}"),
        expect="kubectl uses the namespace",
    )
    if has_policy:
        terminal.run(
            *("kubectl", "create", "--dry-run=server", "-f", relative(manifests.samples / "transcriptiontask.yaml")),
            *("-o", "jsonpath={.metadata.finalizers}"),
            expect="a new task has its finalizer before the operator knows of it",
            seen=lambda output: FINALIZER in output,
        )
    return agora, f"http://{metrics}/metrics"


def _wait_for_policy(terminal: Terminal, cluster: Cluster) -> None:
    """Wait until the API server adds the finalizer: so soon after it has got the CRD it refuses tasks until it can."""
    deadline = time.monotonic() + POLICY_SECONDS
    while not admission.is_in_effect(cluster, SERVICE_ACCOUNT[0]):
        if time.monotonic() > deadline:
            raise StepFailed("kubectl apply", "new tasks have the finalizer", f"none has, {POLICY_SECONDS:.0f} s later")
        terminal.check()
        time.sleep(0.2)


def _leave(cluster: Cluster) -> None:
    """Take the demo's objects out of a cluster that stays, while the operator still runs."""
    cluster.kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")
    print("\nThe cluster keeps the CRD and the roles; what the demo created in it beside them is gone.", flush=True)


def _keep(
    terminal: Terminal, cluster: Cluster, agora: str, metrics: str, transcription: captions.Transcription | None
) -> None:
    """Leave everything running until Ctrl-C, and say what can be done with it."""
    path = "" if shutil.which("kubectl") else f"    export PATH={cluster.kubectl_binary.parent}:$PATH\n"
    if transcription is None:
        hints = """
    kubectl describe ttask standup
    kubectl patch ttask standup --type merge -p '{"spec":{"suspend":true}}'"""
    else:
        hints = f"""
    curl --no-buffer {agora}/simulator/channels/{captions.CHANNEL}/captions
    {captions.stop_command(transcription)}"""
        print(f"\nThe captions, in a browser: {transcription.page} (open it and press Start)", flush=True)
        captions.open_page(transcription)
    logs = " ".join(str(process.log) for process in terminal.background.values())
    print(
        f"""
Everything runs until Ctrl-C. In another terminal:

{path}    export KUBECONFIG={cluster.kubeconfig}
    kubectl get ttask --watch{hints}
    kubectl explain ttask.spec
    curl {agora}/simulator/tasks
    curl {metrics}
    tail -f {logs}
""",
        flush=True,
    )
    try:
        while True:
            terminal.check()
            time.sleep(1)
    except KeyboardInterrupt:
        print("\nEnding everything ...", flush=True)


def _report(error: Exception, terminal: Terminal) -> None:
    for name, process in terminal.background.items():
        print(f"\nThe end of the log of the {name}:\n{process.log_tail()}", file=sys.stderr)
    print(f"\n{error}", file=sys.stderr, flush=True)


def _url(simulator: GuardedProcess) -> str | None:
    """Where the simulator listens, as it says itself."""
    found = re.search(r"listening on (\S+)", simulator.log_tail())
    return found[1] if found else None
