"""GitHub's workflows: what they run is pinned, may do little, and is checked as far as it can be without GitHub."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from agora_transcription import __version__
from support import tools

ROOT = Path(__file__).parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))

MAY_WRITE = {
    ("release.yaml", "publish"): {"packages", "id-token", "attestations"},
    ("release.yaml", "release"): {"contents"},
}
"""Which job may write what; all others only read the code."""

RELEASE = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yaml").read_text())


def jobs() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path.name, name, job) for path in WORKFLOWS for name, job in yaml.safe_load(path.read_text())["jobs"].items()
    ]


def test_actionlint_finds_nothing() -> None:
    # Without the programs that it would use if they happened to be there.
    command = [str(tools.find("actionlint")), "-shellcheck=", "-pyflakes=", *map(str, WORKFLOWS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit(path: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: (.+)$", path.read_text(), re.MULTILINE)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_action_is_everywhere_the_same_one() -> None:
    used = {line for path in WORKFLOWS for line in re.findall(r"uses: (.+)$", path.read_text(), re.MULTILINE)}
    assert len({action.partition("@")[0] for action in used}) == len(used)


@pytest.mark.parametrize(("workflow", "name", "job"), jobs(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_job_may_do_no_more_than_it_has_to(workflow: str, name: str, job: dict[str, Any]) -> None:
    assert yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text())["permissions"] == {}
    writes = {right for right, access in job["permissions"].items() if access == "write"}
    assert writes == MAY_WRITE.get((workflow, name), set())
    assert job["permissions"]["contents"] == ("write" if "contents" in writes else "read")
    assert job["timeout-minutes"]
    for step in job["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_nothing_of_the_event_is_put_into_a_shell() -> None:
    """What GitHub fills in goes through the environment: a name of a tag or branch could be a command."""
    for _, _, job in jobs():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


def test_only_what_was_tested_is_published_and_only_what_was_published_is_released() -> None:
    assert RELEASE["jobs"]["publish"]["needs"] == "check"
    assert RELEASE["jobs"]["release"]["needs"] == "publish"
    commands = [step.get("run", "") for step in RELEASE["jobs"]["check"]["steps"]]
    assert {"make test", "make image-test", "make e2e"} <= set(commands)
    assert 'python3 deploy/release/versions.py "$GITHUB_REF_NAME"' in commands
    assert RELEASE["defaults"]["run"]["shell"].startswith("bash"), "GitHub's default has no pipefail"


def test_no_cache_is_read_where_something_is_published() -> None:
    """Whoever can write a branch's cache could write into a release."""
    text = (ROOT / ".github" / "workflows" / "release.yaml").read_text()
    assert "actions/cache" not in text
    assert "cache-from" not in text


def test_signed_is_a_digest_and_never_a_tag() -> None:
    commands = "\n".join(step.get("run", "") for step in RELEASE["jobs"]["publish"]["steps"])
    signed = re.findall(r'cosign (sign|attest) .*?"([^"]+)"$', commands, re.MULTILINE)
    assert [verb for verb, _ in signed] == ["sign", "attest", "sign"]
    assert all(reference.lower().endswith("@$digest") for _, reference in signed)


def test_every_command_is_a_shells() -> None:
    for workflow, name, job in jobs():
        for step in job["steps"]:
            if "run" in step:
                done = subprocess.run(["bash", "-n", "-c", step["run"]], capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{workflow} {name}: {done.stderr}"
    for path in [*ROOT.glob("deploy/**/*.sh")]:
        subprocess.run(["bash", "-n", path], check=True)
        assert os.access(path, os.X_OK), path


def test_the_named_files_and_targets_are_there() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = "\n".join(step.get("run", "") for _, _, job in jobs() for step in job["steps"])
    assert set(re.findall(r"\bmake ([a-z0-9-]+)", commands)) <= targets
    named = set(re.findall(r"\b(?:deploy|crds)/[\w./-]+", commands))
    assert len(named) >= 4
    for path in named:
        assert (ROOT / path).exists(), path


def test_the_chart_that_is_pushed_is_the_one_that_is_packed(tmp_path: Path) -> None:
    """The two steps name the archive each for itself."""
    steps = {step.get("name"): step for step in RELEASE["jobs"]["publish"]["steps"]}
    [pack] = [step["run"] for name, step in steps.items() if name == "Pack the chart"]
    subprocess.run(["bash", "-ec", pack.replace("dist", str(tmp_path))], cwd=ROOT, check=True, capture_output=True)
    [archive] = tmp_path.iterdir()
    push = steps["Push the chart, and sign it by its digest"]["run"]
    assert f"dist/{archive.name}" in push.replace("${GITHUB_REF_NAME#v}", __version__)
