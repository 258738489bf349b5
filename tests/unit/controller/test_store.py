"""What is sent to the API server: patches that make one object of the other, and nothing else."""

from __future__ import annotations

import base64
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from agora_transcription.api import FINALIZER, TaskStatus
from agora_transcription.controller.store import (
    NotFound,
    Outdated,
    StoreError,
    _decoded,
    merge_patch,
    with_finalizer,
    without_finalizer,
)
from agora_transcription.kube.replies import _error, _message
from unit.controller.builders import body_of, task_of
from unit.controller.kubernetes_model import merged

SCALARS = st.booleans() | st.integers() | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=2), VALUES, max_size=5)
"""JSON objects without null, which a merge patch cannot store, and a status never has."""


@given(OBJECTS, OBJECTS)
def test_the_patch_makes_one_object_of_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert merged(before, merge_patch(before, after)) == after


@given(OBJECTS)
def test_no_change_is_no_patch(value: dict[str, Any]) -> None:
    assert merge_patch(value, value) == {}


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"a": 1}, {}, {"a": None}),
        ({}, {"a": 1}, {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, {"a": {"c": 3}}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": {"b": 1}}, {"a": 1}, {"a": 1}),
    ],
)
def test_patches_hold_no_more_than_what_differs(
    before: dict[str, Any], after: dict[str, Any], patch: dict[str, Any]
) -> None:
    assert merge_patch(before, after) == patch


def test_a_status_that_is_dumped_reads_as_itself() -> None:
    status = {
        "observedGeneration": 3,
        "taskId": "agora-1",
        "startTime": "2026-11-21T08:00:00.125Z",
        "applied": {"languages": ["en-US"]},
        "history": [{"taskId": "a", "endTime": "2026-11-21T08:00:00.001Z", "reason": "Idle"}],
    }
    parsed = TaskStatus.model_validate(status)
    assert TaskStatus.model_validate(parsed.dump()) == parsed
    assert parsed.dump()["startTime"] == "2026-11-21T08:00:00.125Z"
    assert merge_patch(parsed.dump(), parsed.model_copy(update={"task_id": None}).dump()) == {"taskId": None}


def test_finalizers_of_others_are_left_alone() -> None:
    body = body_of(guarded=False, finalizers=["foregroundDeletion"])
    task = task_of(guarded=False, finalizers=body["metadata"]["finalizers"])
    assert with_finalizer(task) == ("foregroundDeletion", FINALIZER)
    task = task_of(finalizers=["a", FINALIZER, "b"])
    assert without_finalizer(task) == ("a", "b")


@pytest.mark.parametrize(
    ("code", "kind"), [(404, NotFound), (409, Outdated), (403, StoreError), (500, StoreError), (None, StoreError)]
)
def test_answers_are_told_apart(code: int | None, kind: type[StoreError]) -> None:
    error = _error("patch", code, "why")
    assert type(error) is kind
    assert error.code == code


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"kind": "Status", "message": "the object has been modified"}', "the object has been modified"),
        (b"<html>bad gateway</html>", None),
        (b"[]", None),
        (b"", None),
        (b"{}", None),
    ],
)
def test_the_api_servers_explanation_is_kept(text: bytes, message: str | None) -> None:
    assert _message(text) == message


def test_values_of_a_secret_that_are_no_text_are_left_out() -> None:
    data = {
        "text": base64.b64encode(b"value").decode(),
        "binary": base64.b64encode(b"\xff\xfe").decode(),
        "broken": "no base64!",
    }
    assert _decoded(data) == {"text": "value"}
