"""GitHub's workflows: what they run is pinned, may do little, and is checked as far as it can be without GitHub."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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


def test_zizmor_finds_nothing() -> None:
    """Each action by its commit, no right too many, nothing of the event in a shell, no cache for what is published."""
    zizmor = Path(sys.executable).parent / "zizmor"
    command: list[Path | str] = [zizmor, "--offline", "--pedantic", "--quiet", *WORKFLOWS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_action_is_everywhere_the_same_one_and_its_release_is_named() -> None:
    used = {line for path in WORKFLOWS for line in re.findall(r"uses: (.+)$", path.read_text(), re.MULTILINE)}
    assert len({action.partition("@")[0] for action in used}) == len(used)
    assert all(re.search(r" # v\d+\.\d+\.\d+$", action) for action in used), used


@pytest.mark.parametrize(("workflow", "name", "job"), jobs(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_job_may_do_no_more_than_it_has_to(workflow: str, name: str, job: dict[str, Any]) -> None:
    writes = {right for right, access in job["permissions"].items() if access == "write"}
    assert writes == MAY_WRITE.get((workflow, name), set())
    assert job["permissions"]["contents"] == ("write" if "contents" in writes else "read")
    assert job["timeout-minutes"]


def test_only_what_was_tested_is_published_and_only_what_was_published_is_released() -> None:
    assert RELEASE["jobs"]["publish"]["needs"] == "check"
    assert RELEASE["jobs"]["release"]["needs"] == "publish"
    commands = [step.get("run", "") for step in RELEASE["jobs"]["check"]["steps"]]
    assert {"make test", "make image-test", "make e2e"} <= set(commands)
    assert 'python3 deploy/release/versions.py "$GITHUB_REF_NAME"' in commands
    assert RELEASE["defaults"]["run"]["shell"].startswith("bash"), "GitHub's default has no pipefail"


def test_what_is_published_comes_from_no_builders_cache() -> None:
    """Whoever can write a branch's cache could write into a release; zizmor knows the caches of actions only."""
    assert "cache-from" not in str(RELEASE)


def test_nothing_is_pushed_before_it_is_known_that_nothing_is_there() -> None:
    steps = [str(step) for step in RELEASE["jobs"]["publish"]["steps"]]
    [looked] = [number for number, step in enumerate(steps) if "unpublished.sh" in step]
    pushed = [number for number, step in enumerate(steps) if re.search(r"\bpush\b", step)]
    assert len(pushed) > 1
    assert looked < min(pushed)


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (1, "ERROR: {}: not found", None),
        (0, '{{"schemaVersion": 2}}', "{} is published already"),
        # What Docker says where the login is not enough, and where there is no way to the registry.
        (1, "ERROR: failed to authorize: failed to fetch oauth token: 403 Forbidden", "Whether {} is published is not"),
        (1, "ERROR: dial tcp: lookup ghcr.io: no such host: not found", "Whether {} is published is not known"),
    ],
)
def test_what_is_published_is_not_published_again(tmp_path: Path, code: int, said: str, told: str | None) -> None:
    fresh, asked = "ghcr.io/a/fresh:1.0.0", "ghcr.io/a/asked:1.0.0"
    docker = tmp_path / "docker"
    docker.write_text(
        f"#!/usr/bin/env bash\n[[ $5 != {asked} ]] || {{ echo '{said.format(asked)}' >&2; exit {code}; }}\n"
        'echo "ERROR: $5: not found" >&2; exit 1\n'
    )
    docker.chmod(0o755)
    script = ROOT / "deploy" / "release" / "unpublished.sh"
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([script, fresh, asked], env=environment, capture_output=True, text=True, check=False)
    if told is None:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 1
        assert told.format(asked) in done.stderr


def test_signed_is_a_digest_and_never_a_tag() -> None:
    commands = "\n".join(step.get("run", "") for step in RELEASE["jobs"]["publish"]["steps"])
    signed = re.findall(r'cosign (sign|attest) .*?"([^"]+)"$', commands, re.MULTILINE)
    assert [verb for verb, _ in signed] == ["sign", "attest", "attest", "sign", "attest", "attest", "sign"]
    assert all(re.search(r"@\$(STT_)?digest$", reference, re.IGNORECASE) for _, reference in signed)


def test_both_images_are_published_alike() -> None:
    """Whatever is done with the one is done with the other."""
    steps = RELEASE["jobs"]["publish"]["steps"]
    one, other = (step["with"] for step in steps if step.get("uses", "").startswith("docker/build-push-action@"))
    assert other.pop("build-args") == "REQUIREMENTS=stt\n" + one.pop("build-args")
    assert other.pop("tags") == one.pop("tags") + "-stt"
    assert one == other
    proven = [step["with"] for step in steps if step.get("uses", "").startswith("actions/attest-build-provenance@")]
    assert [each.pop("subject-digest") for each in proven] == [
        "${{ steps.image.outputs.digest }}", "${{ steps.stt.outputs.digest }}"
    ]  # fmt: skip
    assert proven[0] == proven[1]
    written = set(re.findall(r"\$\(SBOMS\)\)?/(\S+)", (ROOT / "Makefile").read_text()))
    attested = re.findall(r'--predicate dist/(\S+) "\$IMAGE@\$(\w+)"', str([step.get("run") for step in steps]))
    assert {name for name, _ in attested} == written
    assert [digest for name, digest in attested if name == "sbom-captions.cdx.json"] == ["DIGEST", "STT_DIGEST"]


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
