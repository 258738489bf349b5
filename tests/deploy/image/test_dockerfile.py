"""What the Dockerfile promises that can be seen without building it; `make image-test` looks at what it builds."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
LINES = [
    line
    for line in (ROOT / "deploy" / "image" / "Dockerfile").read_text().splitlines()
    if line and not line.startswith("#")
]
INSTRUCTIONS = [
    (word, re.sub(r"\s+", " ", rest.replace("\\\n", " ")))
    for word, rest in re.findall(r"^([A-Z]+) ((?:.*\\\n)*.*)$", "\n".join(LINES), re.MULTILINE)
]
STARTS = [number for number, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM"]
BUILD, FINAL = INSTRUCTIONS[STARTS[0] : STARTS[-1]], INSTRUCTIONS[STARTS[-1] :]
VARIANTS = ("runtime", "stt")
"""What REQUIREMENTS can be: which file of requirements/ is in the image."""


def of(stage: list[tuple[str, str]], word: str) -> list[str]:
    return [rest for instruction, rest in stage if instruction == word]


def test_all_stages_stand_on_one_base_that_is_pinned_by_its_digest() -> None:
    [(word, base)] = INSTRUCTIONS[: STARTS[0]]
    assert word == "ARG"
    assert re.fullmatch(r"BASE=docker\.io/library/python:3\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    assert of(INSTRUCTIONS, "FROM") == ["${BASE} AS tools", "tools AS page", "tools AS build", "${BASE}"]


def test_whatever_is_fetched_has_a_hash() -> None:
    calls = re.findall(r"/bin/pip ([^&]+)", " ".join(of(INSTRUCTIONS, "RUN")))
    assert len(calls) >= 3
    for call in calls:
        from_the_index = re.search(r"\b(install|wheel)\b", call) and not re.search(r"--no-index| \.\s*$", call)
        assert not from_the_index or "--require-hashes" in call, call
        # What is built may not fetch its own tools.
        assert " wheel " not in f" {call} " or {"--no-build-isolation", "--no-deps"} <= set(call.split()), call
    # Of npm's commands this one alone holds on to package-lock.json and its hashes.
    assert re.findall(r"\bnpm (\S+)", " ".join(of(INSTRUCTIONS, "RUN"))) == ["ci"]
    # Neither the distribution's packages nor anything by its URL.
    assert not re.search(r"\b(apt|apt-get|curl|wget|git)\b", " ".join(of(INSTRUCTIONS, "RUN")))
    assert of(INSTRUCTIONS, "ADD") == []


def test_the_final_stage_takes_the_environment_and_nothing_else() -> None:
    assert of(FINAL, "COPY") == ["--from=build /opt/agora-transcription /opt/agora-transcription"]
    [run] = of(FINAL, "RUN")
    assert not re.search(r"\binstall\b|/tools/", run)


def test_it_runs_as_a_number_and_gets_signals() -> None:
    assert of(FINAL, "USER") == ["65532:65532"]
    [entrypoint] = of(FINAL, "ENTRYPOINT")
    # A shell in between would keep SIGTERM to itself.
    assert json.loads(entrypoint) == ["agora-transcription"]


def test_the_builder_is_given_what_is_copied_and_no_more() -> None:
    """A file that is not named cannot get into a layer, whatever lies around in the checkout."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    given = {line.removeprefix("!") for line in lines[1:] if line.startswith("!")}
    copies = [copy.split()[:-1] for copy in of(BUILD, "COPY") if not copy.startswith("--from=")]
    written = {source for copy in copies for source in copy}
    copied = {source.replace("${REQUIREMENTS}", variant) for source in written for variant in VARIANTS}
    # What is in a folder that is given as a whole needs no line of its own.
    assert given == {source for source in copied if source.partition("/")[0] not in given - {source}}
    for source in copied:
        assert (ROOT / source).exists(), source


def test_what_was_built_in_the_checkout_stays_there() -> None:
    """The page is built anew, and by the platform's own packages."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    left_out = {line for line in lines[lines.index("*") + 1 :] if not line.startswith(("!", "#"))}
    assert left_out == {"**/__pycache__", "**/node_modules", "operator/agora_transcription/gateway/page"}
    [built] = [copy for copy in of(BUILD, "COPY") if copy.startswith("--from=page")]
    source, target = built.split()[1:]
    assert source == f"/source/{target}"
    assert target in left_out
