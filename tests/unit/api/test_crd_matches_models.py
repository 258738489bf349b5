"""Holds `crds/transcriptiontasks.yaml` and the pydantic models against each other, field by field, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from agora_transcription.api import API_VERSION, KIND, PLURAL, TaskSpec, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

CRD = yaml.safe_load((Path(__file__).parents[3] / "crds" / "transcriptiontasks.yaml").read_text(encoding="utf-8"))
VERSION = CRD["spec"]["versions"][0]
PARTS: dict[str, dict[str, Any]] = VERSION["schema"]["openAPIV3Schema"]["properties"]
MODELS: dict[str, type[BaseModel]] = {"spec": TaskSpec, "status": TaskStatus}

BOUNDS = ("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "pattern", "format")
MUTABILITY = ("Mutable in place", "A change restarts the Agora task", "Immutable")
IN_PLACE = {
    "languages",
    "subscribeAudioUids",
    "uidLanguages",
    "translation",
    "suspend",
    "restartPolicy",
    "rollover",
    "activeDeadlineSeconds",
    "ttlSecondsAfterFinished",
    "deletionPolicy",
}
IMMUTABLE = {"channel", "credentialsSecretRef", "agoraApi"}

ONLY_IN_CRD = {
    # Kept as text in memory, because it is written back as it was read.
    ("status.conditions[].lastTransitionTime", "format"),
    # The models leave the bounds of numbers that only Kubernetes makes to Kubernetes.
    ("status.conditions[].observedGeneration", "minimum"),
    ("status.conditions[].observedGeneration", "maximum"),
}
"""Where the two differ on purpose."""

_ABSENT = object()


@dataclass(frozen=True)
class Node:
    """A field, or the items of a list, in one of the two."""

    path: str
    schema: dict[str, Any]
    required: bool = False

    @property
    def field(self) -> bool:
        return not self.path.endswith("[]")


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it."""
    yield node
    for name, child in node.schema.get("properties", {}).items():
        yield from walk(Node(f"{node.path}.{name}", child, required=name in node.schema.get("required", [])))
    if "items" in node.schema:
        yield from walk(Node(f"{node.path}[]", node.schema["items"]))


def resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A schema of pydantic's in the form of the CRD: nothing by reference, and optional means absent, not null."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[1]]
        return resolved({**target, **{key: value for key, value in schema.items() if key != "$ref"}}, definitions)
    if "anyOf" in schema:
        (only,) = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
        return resolved(only, definitions)
    plain = dict(schema)
    if "properties" in schema:
        plain["properties"] = {name: resolved(child, definitions) for name, child in schema["properties"].items()}
    if "items" in schema:
        plain["items"] = resolved(schema["items"], definitions)
    return plain


def model_nodes(part: str) -> dict[str, Node]:
    schema = MODELS[part].model_json_schema(by_alias=True)
    return {node.path: node for node in walk(Node(part, resolved(schema, schema.get("$defs", {}))))}


def crd_nodes(part: str) -> dict[str, Node]:
    return {node.path: node for node in walk(Node(part, PARTS[part]))}


def with_defaults(schema: dict[str, Any], value: object) -> object:
    """What the API server makes of a value (structural defaulting)."""
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for name, child in schema.get("properties", {}).items():
        if name not in filled and "default" in child:
            filled[name] = child["default"]
        if name in filled:
            filled[name] = with_defaults(child, filled[name])
    return filled


def told(value: object) -> object:
    """A default without what says nothing: null, and empty lists and objects."""
    if isinstance(value, dict):
        return {name: rest for name, child in value.items() if (rest := told(child)) not in (None, [], {})}
    return None if value in ([], {}) else value


def default_of(schema: dict[str, Any]) -> object:
    value = told(with_defaults(schema, schema.get("default")))
    return None if value in ([], {}) else value


def differences(part: str) -> set[tuple[str, str]]:
    """Each (path, aspect) in which the CRD and the model are not the same."""
    crd, model = crd_nodes(part), model_nodes(part)
    found = {(path, "presence") for path in crd.keys() ^ model.keys()}
    for path in (crd.keys() & model.keys()) - {part}:
        mine, theirs = crd[path], model[path]
        pairs: dict[str, tuple[object, object]] = {
            aspect: (mine.schema.get(aspect, _ABSENT), theirs.schema.get(aspect, _ABSENT)) for aspect in BOUNDS
        }
        pairs["type"] = (mine.schema["type"], theirs.schema["type"])
        pairs["enum"] = (set(mine.schema.get("enum", [])), set(theirs.schema.get("enum", [])))
        pairs["required"] = (mine.required, theirs.required)
        pairs["default"] = (default_of(mine.schema), default_of(theirs.schema))
        found |= {(path, aspect) for aspect, (here, there) in pairs.items() if here != there}
    return found


def all_nodes() -> list[Node]:
    return [node for part in MODELS for node in crd_nodes(part).values() if node.path != part]


def test_crd_and_models_describe_the_same_fields() -> None:
    found = differences("spec") | differences("status")
    assert sorted(found - ONLY_IN_CRD) == []
    assert sorted(ONLY_IN_CRD - found) == [], "these exceptions are not needed any more"


def test_comparison_notices_each_kind_of_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = yaml.safe_load(yaml.safe_dump(PARTS["spec"]))
    properties = changed["properties"]
    del properties["suspend"]
    properties["extra"] = {"type": "string"}
    properties["channel"]["maxLength"] = 65
    properties["agoraApi"]["enum"] = ["V7"]
    properties["idleTimeoutSeconds"]["default"] = 30
    properties["captions"]["properties"]["format"]["default"] = "Json"
    properties["bot"]["properties"]["uid"]["type"] = "integer"
    properties["languages"]["items"]["pattern"] = "^.*$"
    changed["required"] = ["channel"]
    monkeypatch.setitem(PARTS, "spec", changed)
    assert differences("spec") == {
        ("spec.suspend", "presence"),
        ("spec.extra", "presence"),
        ("spec.channel", "maxLength"),
        ("spec.agoraApi", "enum"),
        ("spec.idleTimeoutSeconds", "default"),
        ("spec.captions.format", "default"),
        ("spec.captions", "default"),
        ("spec.bot.uid", "type"),
        ("spec.languages[]", "pattern"),
        ("spec.languages", "required"),
    }


def test_names_are_those_of_the_code() -> None:
    assert f"{CRD['spec']['group']}/{VERSION['name']}" == API_VERSION
    assert CRD["spec"]["names"]["kind"] == KIND
    assert CRD["spec"]["names"]["plural"] == PLURAL
    assert CRD["metadata"]["name"] == f"{PLURAL}.{CRD['spec']['group']}"


def test_status_starts_unseen_for_kstatus() -> None:
    assert (
        PARTS["status"]["default"]
        == {"observedGeneration": TaskStatus().observed_generation}
        == {"observedGeneration": -1}
    )


@pytest.mark.parametrize("node", [node for node in all_nodes() if node.field], ids=lambda node: node.path)
def test_each_field_has_a_description_in_sentences(node: Node) -> None:
    description = node.schema.get("description", "")
    assert len(description) > 10
    assert description.endswith(".")


@pytest.mark.parametrize(
    "node",
    [node for node in crd_nodes("spec").values() if node.field and node.path != "spec"],
    ids=lambda node: node.path,
)
def test_each_spec_field_tells_its_default_and_mutability(node: Node) -> None:
    description = node.schema["description"]
    top = node.path.split(".")[1].removesuffix("[]")
    expected = "Immutable" if top in IMMUTABLE else "Mutable in place" if top in IN_PLACE else MUTABILITY[1]
    assert [phrase for phrase in MUTABILITY if phrase in description] == [expected]
    if node.required and "default" not in node.schema and top != "credentialsSecretRef":
        assert "Required" in description
    else:
        assert "Default: " in description
    if node.schema["type"] != "object" and "default" in node.schema:
        assert (
            f"Default: {str(node.schema['default']).replace('True', 'true').replace('False', 'false')}" in description
        )


@pytest.mark.parametrize("node", all_nodes(), ids=lambda node: node.path)
def test_each_value_is_bounded(node: Node) -> None:
    schema = node.schema
    match schema["type"]:
        case "string":
            assert "maxLength" in schema or "enum" in schema or schema.get("format") == "date-time"
        case "array":
            assert "maxItems" in schema
            assert "x-kubernetes-list-type" in schema
        case "integer":
            assert {"minimum", "maximum"} <= schema.keys()
        case kind:
            assert kind in {"boolean", "object"}, "no floats, and nothing of an unknown type"
    assert not [key for key in schema if "preserve-unknown" in key or key in {"nullable", "additionalProperties"}]


@pytest.mark.parametrize(
    "node", [node for node in crd_nodes("spec").values() if "pattern" in node.schema], ids=lambda node: node.path
)
def test_each_pattern_of_spec_has_words_for_those_who_miss_it(node: Node) -> None:
    rule = f"self.matches(r'{node.schema['pattern']}')"
    messages = [check["message"] for check in node.schema["x-kubernetes-validations"] if check["rule"].startswith(rule)]
    assert messages
    assert messages[0].startswith("must be ")


def test_lists_of_spec_merge_as_sets_and_maps() -> None:
    kinds = {
        node.path: node.schema["x-kubernetes-list-type"]
        for node in crd_nodes("spec").values()
        if "items" in node.schema
    }
    maps = {"spec.uidLanguages": ["uid"], "spec.translation.languages": ["source"]}
    assert {path for path, kind in kinds.items() if kind == "map"} == set(maps)
    assert {path: crd_nodes("spec")[path].schema["x-kubernetes-list-map-keys"] for path in maps} == maps
    assert {path for path, kind in kinds.items() if kind == "atomic"} == {"spec.captions.storage.fileNamePrefix"}
    assert PARTS["status"]["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]


def test_rules_stand_where_a_status_write_cannot_meet_them() -> None:
    root = VERSION["schema"]["openAPIV3Schema"]
    assert "x-kubernetes-validations" not in root
    assert not [
        node.path for node in walk(Node("status", PARTS["status"])) if "x-kubernetes-validations" in node.schema
    ]


def test_columns_are_those_of_the_design() -> None:
    columns = [(column["name"], column.get("priority", 0)) for column in VERSION["additionalPrinterColumns"]]
    narrow = ["Phase", "Ready", "Channel", "Languages", "Task", "Age"]
    wide = ["Reason", "Sequence", "Restarts", "Message"]
    assert columns == [(name, 0) for name in narrow] + [(name, 1) for name in wide]
    assert [field["jsonPath"] for field in VERSION["selectableFields"]] == [".spec.channel", ".status.phase"]
