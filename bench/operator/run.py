"""How much time, CPU, memory, writes and calls the operator takes for thousands of tasks: `make bench`.

Writes its tables into docs/performance.md, its plot beside it, and its figures into results.json here. It takes ten
minutes, and means something only on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from agora_transcription.local import admission
from agora_transcription.local.controlplane import ControlPlane
from bench.operator import plot, report
from bench.operator.lap import Place, Plan, measure
from bench.operator.results import Run, problems
from bench.usage import busy_seconds, machine, own_seconds
from support import pages
from support.crds import install_crds
from support.processes import wait_until

if TYPE_CHECKING:
    from bench.operator.results import Lap

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "performance.svg"
RESULTS = Path(__file__).with_name("results.json")

POLICY = ROOT / "deploy" / "kustomize" / "admission" / "admission-policy.yaml"
NAMESPACE = "bench"

PACKAGES = ("kopf", "kubernetes", "aiohttp", "uvloop", "pydantic")


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", type=int, default=[1000, 3000, 5000])
    parser.add_argument("--delay", type=float, default=0.05, help="seconds that each call to Agora takes")
    parser.add_argument("--settle", type=float, default=30, help="seconds of rest to look at, with the most tasks")
    parser.add_argument("--changes", type=int, default=100, help="tasks that are changed one by one")
    parser.add_argument("--policy", type=Path, default=POLICY, help="manifest of the policy that adds the finalizer")
    parser.add_argument("--dry-run", action="store_true", help="leave the page as it is")
    parser.add_argument("--render", action="store_true", help="only write the page anew, from the last figures")
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends what it has started, too
    run = Run.model_validate_json(RESULTS.read_text()) if options.render else _measured(options)
    if not options.dry_run:
        RESULTS.write_text(run.model_dump_json(indent=1) + "\n")
        pages.write(PAGE, report.contents(run))
        PLOT.write_text(plot.svg(run))
    print(*report.contents(run).values(), sep="\n\n")
    if wrong := problems(run):
        sys.exit("; ".join(wrong))


def _measured(options: argparse.Namespace) -> Run:
    began, busy = time.monotonic(), busy_seconds() - own_seconds()
    laps, kubernetes, policy = [], "", _policy(options.policy)
    for tasks in sorted(options.tasks):
        # Events are posted slowly, so rest has to be waited for: once.
        settle = options.settle if tasks == max(options.tasks) else 0
        plan = Plan(tasks, delay=options.delay, settle=settle, changes=min(tasks, options.changes))
        # What the policy makes cheaper is compared; the rest is the same without it.
        plans = [replace(plan, policy=True), replace(plan, brief=True, settle=0)] if policy else [plan]
        for each in plans:
            guard = "policy" if each.policy else "operator"
            print(f"{tasks:,} tasks, the finalizer by the {guard}", file=sys.stderr)
            lap, kubernetes = _lap(each, policy)
            laps.append(lap)
    others = (busy_seconds() - own_seconds() - busy) / (time.monotonic() - began)
    versions = {"agora-transcription": version("agora-transcription"), "Python": platform.python_version()}
    versions |= {"Kubernetes": kubernetes, **{package: version(package) for package in PACKAGES}}
    return Run(
        date=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        others=round(max(0.0, others), 2),
        versions=versions,
        delay=options.delay,
        settle=options.settle,
        laps=laps,
    )


def _policy(manifest: Path) -> Path | None:
    """The manifest, where there is one and the API server has its kind."""
    if not manifest.exists():
        return None
    with ControlPlane() as control_plane:
        return manifest if admission.is_known(control_plane) else None


def _lap(plan: Plan, policy: Path | None) -> tuple[Lap, str]:
    """Make a lap on a control plane of its own, so that none has anything to do with one before."""
    logs = Path(tempfile.mkdtemp(prefix="agora-transcription-bench-"))
    with ControlPlane() as control_plane:
        install_crds(control_plane)
        control_plane.kubectl("apply", "-k", str(ROOT / "deploy" / "kustomize" / "rbac"))
        control_plane.kubectl("create", "namespace", NAMESPACE)
        operator = control_plane.service_account_kubeconfig("agora-transcription", "agora-transcription-operator")
        if plan.policy and policy is not None:
            control_plane.kubectl("apply", "-f", str(policy))
            wait_until(partial(admission.is_in_effect, control_plane, NAMESPACE))
        kubernetes = json.loads(control_plane.kubectl("version", "--output=json"))["serverVersion"]["gitVersion"]
        lap = asyncio.run(measure(plan, Place(control_plane.kubeconfig, operator, NAMESPACE, logs)))
    if said := (logs / "operator.log").read_text().splitlines():
        print(f"  the operator warned {len(said)} times, first: {said[0]}", file=sys.stderr)
    shutil.rmtree(logs)
    return lap, kubernetes.removeprefix("v")


if __name__ == "__main__":
    main()
