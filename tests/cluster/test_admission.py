"""What the API server itself takes and refuses, defaults, prints and explains: the CRD on a real one."""

from __future__ import annotations

import base64
import json
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from agora_transcription.api import API_VERSION, FINALIZER, GROUP, KIND, PLURAL, VERSION, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agora_transcription.local.controlplane import ControlPlane

Body = dict[str, Any]

TABLE: Body = yaml.safe_load(Path(__file__).with_name("admission.yaml").read_text(encoding="utf-8"))
CRD_FILE = Path(__file__).parents[2] / "crds" / "transcriptiontasks.yaml"
RUNNING_STATUS: Body = {
    "observedGeneration": 1,
    "phase": "Running",
    "agoraApi": "V7",
    "taskId": "1NT29X10YHxxxxxWJOXLYHNYB",
    "sequenceId": 3,
    "restarts": 1,
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Running",
            "message": "Transcribing channel weekly-standup in en-US, ja-JP",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-11-21T08:00:00Z",
        }
    ],
}


def merged(base: Body, patch: Body) -> Body:
    """A JSON merge patch (RFC 7386), applied."""
    result = {name: value for name, value in base.items() if name not in patch}
    for name, value in patch.items():
        if isinstance(value, dict):
            result[name] = merged(base.get(name) or {}, value)
        elif value is not None:
            result[name] = value
    return result


def task_of(spec: Body, name: str = "task") -> Body:
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": merged(TABLE["base"], spec)}


class RefusedError(Exception):
    """An answer of the API server other than success; `str()` of it is its message."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class Tasks:
    """The TranscriptionTasks of a namespace, over one connection. Everything raises `RefusedError`."""

    def __init__(self, http: httpx.Client, namespace: str, *, group: str = GROUP) -> None:
        self._http = http
        self._path = f"/apis/{group}/{VERSION}/namespaces/{namespace}/{PLURAL}"

    def try_out(self, body: Body) -> Body:
        return self._call("POST", "", body, dryRun="All", fieldValidation="Strict")

    def create(self, body: Body) -> Body:
        return self._call("POST", "", body)

    def get(self, name: str) -> Body:
        return self._call("GET", f"/{name}")

    def try_replacing(self, body: Body) -> Body:
        return self._call("PUT", f"/{body['metadata']['name']}", body, dryRun="All", fieldValidation="Strict")

    def patch(self, name: str, body: Body) -> Body:
        return self._call("PATCH", f"/{name}", body)

    def patch_status(self, name: str, status: Body) -> Body:
        return self._call("PATCH", f"/{name}/status", {"status": status})

    def names(self, *, field_selector: str) -> list[str]:
        return sorted(item["metadata"]["name"] for item in self._call("GET", "", fieldSelector=field_selector)["items"])

    def _call(self, method: str, suffix: str, body: Body | None = None, **parameters: str) -> Body:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = self._http.request(
            method, self._path + suffix, json=body, params=parameters, headers={"Content-Type": kind}
        )
        if not answer.is_success:
            raise RefusedError(
                answer.status_code, answer.text if answer.status_code == 404 else answer.json()["message"]
            )
        found: Body = answer.json()
        return found


@pytest.fixture(scope="module")
def http(control_plane: ControlPlane) -> Iterator[httpx.Client]:
    kubeconfig = yaml.safe_load(control_plane.kubeconfig.read_text(encoding="utf-8"))
    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    with httpx.Client(
        base_url=cluster["server"],
        headers={"Authorization": f"Bearer {user['token']}"},
        verify=ssl.create_default_context(cadata=authority),
        timeout=30,
        trust_env=False,
    ) as connection:
        yield connection


@pytest.fixture(scope="module")
def trial(http: httpx.Client) -> Tasks:
    """For what is tried out and never stored."""
    return Tasks(http, "default")


@pytest.fixture
def tasks(http: httpx.Client, namespace: str) -> Tasks:
    """For what is stored, in a namespace of its own."""
    return Tasks(http, namespace)


def test_table_is_as_large_as_it_should_be() -> None:
    assert len(TABLE["refused"]) >= 40
    assert len(TABLE["accepted"]) >= 15


@pytest.mark.parametrize("name", TABLE["accepted"])
def test_good_object_is_taken(trial: Tasks, name: str) -> None:
    body = task_of(TABLE["accepted"][name])
    taken = trial.try_out(body)["spec"]
    assert merged(taken, body["spec"]) == taken, "nothing of it was lost"


@pytest.mark.parametrize("name", TABLE["refused"])
def test_bad_object_is_refused_with_words_that_help(trial: Tasks, name: str) -> None:
    case = TABLE["refused"][name]
    with pytest.raises(RefusedError) as refusal:
        trial.try_out(task_of(case["spec"]))
    assert refusal.value.code in {400, 422}
    assert case["field"] in str(refusal.value)
    assert case["says"] in str(refusal.value)


@pytest.mark.parametrize("name", TABLE["changes"]["accepted"])
def test_good_change_is_taken(tasks: Tasks, name: str) -> None:
    case = TABLE["changes"]["accepted"][name]
    stored = tasks.create(task_of(case.get("before", {})))
    stored["spec"] = merged(stored["spec"], case["change"])
    taken = tasks.try_replacing(stored)["spec"]
    assert merged(taken, stored["spec"]) == taken, "nothing of it was lost"


@pytest.mark.parametrize("name", TABLE["changes"]["refused"])
def test_bad_change_is_refused_with_words_that_help(tasks: Tasks, name: str) -> None:
    case = TABLE["changes"]["refused"][name]
    stored = tasks.create(task_of(case.get("before", {})))
    stored["spec"] = merged(stored["spec"], case["change"])
    with pytest.raises(RefusedError) as refusal:
        tasks.try_replacing(stored)
    assert refusal.value.code == 422
    assert case["field"] in str(refusal.value)
    assert case["says"] in str(refusal.value)


def test_least_object_gets_all_defaults(trial: Tasks) -> None:
    assert trial.try_out(task_of({}))["spec"] == {
        "channel": "standup",
        "languages": ["en-US"],
        "idleTimeoutSeconds": 60,
        "captions": {"format": "Protobuf", "sliceDurationSeconds": 60},
        "credentialsSecretRef": {"name": "agora-credentials"},
        "suspend": False,
        "restartPolicy": "OnFailure",
        "rollover": "Replace",
        "deletionPolicy": "Delete",
    }
    translation = {"languages": [{"source": "en-US", "targets": ["es-ES"]}]}
    assert trial.try_out(task_of({"translation": translation}))["spec"]["translation"]["enabled"] is True


def test_object_without_a_spec_is_refused(trial: Tasks) -> None:
    body = {name: value for name, value in task_of({}).items() if name != "spec"}
    with pytest.raises(RefusedError) as refusal:
        trial.try_out(body)
    assert "spec: Required value" in str(refusal.value)


def test_status_starts_with_no_generation_seen(tasks: Tasks) -> None:
    tasks.create(task_of({}) | {"status": {"phase": "Running", "observedGeneration": 7}})
    stored = tasks.get("task")
    assert stored["status"] == {"observedGeneration": -1}
    assert not TaskStatus.model_validate(stored["status"]).written


def test_selectable_fields_select(tasks: Tasks) -> None:
    for name, channel in {"one": "standup", "two": "retro", "three": "retro"}.items():
        tasks.create(task_of({"channel": channel}, name))
    tasks.patch_status("two", RUNNING_STATUS)
    assert tasks.names(field_selector="spec.channel=retro") == ["three", "two"]
    assert tasks.names(field_selector="status.phase=Running") == ["two"]
    assert tasks.names(field_selector="spec.channel=retro,status.phase!=Running") == ["three"]


def test_status_is_written_without_a_new_generation(tasks: Tasks) -> None:
    tasks.create(task_of({}))
    written = tasks.patch_status("task", RUNNING_STATUS)
    assert written["status"] == RUNNING_STATUS
    assert written["metadata"]["generation"] == 1


def test_status_with_a_value_out_of_bounds_is_refused(tasks: Tasks) -> None:
    tasks.create(task_of({}))
    with pytest.raises(RefusedError) as refusal:
        tasks.patch_status("task", RUNNING_STATUS | {"phase": "Dancing"})
    assert "status.phase: Unsupported value" in str(refusal.value)


def test_object_older_than_the_rules_can_still_be_managed(
    control_plane: ControlPlane, http: httpx.Client, namespace: str
) -> None:
    """Rules come with an upgrade, and the objects that were there before must stay manageable."""
    strict: Body = yaml.safe_load(CRD_FILE.read_text(encoding="utf-8"))
    strict["spec"]["group"] = group = "older.transcription.dev"
    strict["metadata"]["name"] = f"{PLURAL}.{group}"
    strict["spec"]["names"] |= {"shortNames": [], "categories": []}
    lax = json.loads(json.dumps(strict))
    remove_rules(lax)
    older = Tasks(http, namespace, group=group)
    against_rules = task_of({"rollover": "Overlap", "bot": {"uid": "9999999999"}}) | {
        "apiVersion": f"{group}/{VERSION}"
    }
    try:
        control_plane.kubectl("apply", "-f", "-", stdin=json.dumps(lax))
        control_plane.kubectl("wait", "--for=condition=Established", f"crd/{PLURAL}.{group}")
        wait_until(lambda: not refuses(older, against_rules), "the rules are gone")
        older.create(against_rules)
        control_plane.kubectl("apply", "-f", "-", stdin=json.dumps(strict))
        wait_until(lambda: refuses(older, against_rules), "the rules hold")
        for finalizers in ([FINALIZER], []):
            patched = older.patch("task", {"metadata": {"finalizers": finalizers}})
            assert patched["metadata"].get("finalizers", []) == finalizers
        assert older.patch_status("task", RUNNING_STATUS)["status"] == RUNNING_STATUS
    finally:
        control_plane.kubectl("delete", "crd", f"{PLURAL}.{group}", "--ignore-not-found", "--timeout=30s")


def test_each_field_is_explained(control_plane: ControlPlane) -> None:
    # Reads the API anew; explain itself would be content with what kubectl remembers from before the CRD was there.
    assert "ttask" in control_plane.kubectl("api-resources", f"--api-group={GROUP}")
    described = json.loads(control_plane.kubectl("get", "--raw", f"/openapi/v3/apis/{GROUP}/{VERSION}"))
    (schema,) = [
        schema
        for schema in described["components"]["schemas"].values()
        if [kind["kind"] for kind in schema.get("x-kubernetes-group-version-kind", [])] == [KIND]
    ]
    for part in ("spec", "status"):
        paths = list(field_paths(schema["properties"][part], f"ttask.{part}"))
        assert len(paths) > 20
        tree = control_plane.kubectl("explain", f"ttask.{part}", "--recursive")
        for path in paths:
            assert f"{path.rsplit('.', 1)[1]}\t<" in tree
        for path in paths:
            assert len(explained(schema, path.removeprefix("ttask."))) > 10, path
    assert "Mutable in place." in control_plane.kubectl("explain", "ttask.spec.translation.languages.targets")


def test_listing_fits_a_terminal_of_120_columns(control_plane: ControlPlane, tasks: Tasks, namespace: str) -> None:
    tasks.create(task_of({"channel": "weekly-standup", "languages": ["en-US", "ja-JP"]}, "team-a-weekly-standup"))
    tasks.patch_status("team-a-weekly-standup", RUNNING_STATUS)
    header, row = control_plane.kubectl("get", "ttask", "--namespace", namespace).splitlines()
    assert header.split() == ["NAME", "PHASE", "READY", "CHANNEL", "LANGUAGES", "TASK", "AGE"]
    assert row.split()[:6] == [
        "team-a-weekly-standup",
        "Running",
        "True",
        "weekly-standup",
        '["en-US","ja-JP"]',
        RUNNING_STATUS["taskId"],
    ]
    assert max(len(header), len(row)) <= 120
    wide = control_plane.kubectl("get", "transcription", "--namespace", namespace, "--output=wide").splitlines()
    assert wide[0].split()[-4:] == ["REASON", "SEQUENCE", "RESTARTS", "MESSAGE"]
    assert wide[1].endswith(RUNNING_STATUS["conditions"][0]["message"])
    assert wide[1].split()[7:10] == [RUNNING_STATUS["conditions"][0]["reason"], "3", "1"]


def remove_rules(schema: object) -> None:
    if isinstance(schema, dict):
        schema.pop("x-kubernetes-validations", None)
        for child in schema.values():
            remove_rules(child)
    elif isinstance(schema, list):
        for child in schema:
            remove_rules(child)


def refuses(tasks: Tasks, body: Body) -> bool:
    """Whether the rules are in force; an object that they refuse must not exist for this to tell anything else."""
    try:
        tasks.try_out(body | {"metadata": {"name": "probe"}})
    except RefusedError as refusal:
        return refusal.code == 404 or "two tasks at once need two user ids" in str(refusal)
    return False


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, f"it took too long until {what}"
        time.sleep(0.1)


def field_paths(schema: Body, path: str) -> Iterator[str]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from field_paths(child.get("items", child), f"{path}.{name}")


def explained(schema: Body, path: str) -> str:
    description = ""
    for name in path.split("."):
        child = schema["properties"][name]
        description, schema = child.get("description", ""), child.get("items", child)
    return str(description)
