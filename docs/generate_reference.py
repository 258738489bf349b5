# ruff: noqa: INP001 - a script beside the page that it writes, no package
"""Writes `docs/reference.md` from the CRD.

The CRD's descriptions are what `kubectl explain` prints; here the same words stand on a page. A test holds that the
page is as this script would write it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Row", "main", "reference", "rows"]

ROOT = Path(__file__).parents[1]
CRD = ROOT / "crds" / "transcriptiontasks.yaml"
REFERENCE = ROOT / "docs" / "reference.md"

Schema = dict[str, Any]


class Row(NamedTuple):
    """One field.

    Attributes:
        path: From spec or status on, `[]` behind lists.
        kind: Its type and bounds.
        default: As in YAML; empty where there is none.
        description: The CRD's.
    """

    path: str
    kind: str
    default: str
    description: str


def main() -> None:
    """Write the page."""
    crd = yaml.safe_load(CRD.read_text(encoding="utf-8"))
    REFERENCE.write_text(reference(crd), encoding="utf-8")


def reference(crd: Schema) -> str:
    """The whole page."""
    (version,) = crd["spec"]["versions"]
    names, properties = crd["spec"]["names"], version["schema"]["openAPIV3Schema"]["properties"]
    columns = "\n".join(
        f"| {column['name'].upper()} | `{_cell(column['jsonPath'])}` | {'-o wide' if column.get('priority') else ''} "
        f"| {_cell(column['description'])} |"
        for column in version["additionalPrinterColumns"]
    )
    return f"""\
# {names["kind"]}

<!-- Written by docs/generate_reference.py from crds/transcriptiontasks.yaml: `make docs`. -->

`{crd["spec"]["group"]}/{version["name"]}`, {crd["spec"]["scope"].lower()}; short name `{names["shortNames"][0]}`.
The same text is in `kubectl explain {names["shortNames"][0]}.spec`.

- *Mutable in place*: the running Agora task is told, or needs not be told.
- *A change restarts the Agora task*: it is stopped, and another one is started with the changed settings.
- *Immutable*: the API server refuses a change.

## spec

{_table(properties["spec"], "spec")}

### Rules

What the API server checks beyond types and bounds, and what it answers.

| at | it |
|---|---|
{_rules(properties["spec"])}

## status

{_table(properties["status"], "status", with_default=False)}

## Columns

`kubectl get {names["shortNames"][0]}` shows:

| column | from | with | |
|---|---|---|---|
{columns}

Field selectors: {", ".join(f"`{field['jsonPath'].removeprefix('.')}`" for field in version["selectableFields"])}, as in
`kubectl get {names["shortNames"][0]} --field-selector status.phase=Running`.
"""


def rows(schema: Schema, path: str) -> Iterator[Row]:
    """The fields of an object, each followed by its own.

    Args:
        schema: The object's.
        path: Where it stands, as `spec`.
    """
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        default = yaml.safe_dump(child["default"], default_flow_style=True).split("\n")[0] if "default" in child else ""
        yield Row(here, _kind(child), default, child["description"])
        inner, suffix = (child["items"], "[]") if "items" in child else (child, "")
        yield from rows(inner, here + suffix)


def _table(schema: Schema, path: str, *, with_default: bool = True) -> str:
    head = "| field | type | default | |\n|---|---|---|---|" if with_default else "| field | type | |\n|---|---|---|"
    lines = [head]
    for row in rows(schema, path):
        default = f" {f'`{_cell(row.default)}`' if row.default else ''} |" if with_default else ""
        name = row.path.removeprefix(f"{path}.")
        lines.append(f"| `{name}` | {_cell(row.kind)} |{default} {_cell(row.description)} |")
    return "\n".join(lines)


def _rules(schema: Schema, path: str = "spec") -> str:
    found: dict[tuple[str, str], None] = {}
    _collect_rules(schema, path, found)
    return "\n".join(f"| `{at}` | {_cell(message)} |" for at, message in found)


def _collect_rules(schema: Schema, path: str, found: dict[tuple[str, str], None]) -> None:
    for rule in schema.get("x-kubernetes-validations", []):
        found[path + rule.get("fieldPath", ""), rule["message"]] = None
    for name, child in schema.get("properties", {}).items():
        _collect_rules(child, f"{path}.{name}", found)
    if "items" in schema:
        _collect_rules(schema["items"], f"{path}[]", found)


def _kind(schema: Schema) -> str:
    """The type in words: `string, 1 to 64 characters`, `list of 1 to 4 strings`, `Replace or Overlap`."""
    if "enum" in schema:
        *first, last = (f"`{value}`" for value in schema["enum"])
        return f"{', '.join(first)} or {last}"
    match schema["type"]:
        case "string" if schema.get("format") == "date-time":
            return "time (RFC 3339)"
        case "string":
            return f"string, {_span(schema, 'Length')} characters"
        case "array":
            return f"list of {_span(schema, 'Items')} {schema['items']['type']}s"
        case "integer":
            return f"integer, {schema['minimum']} to {schema['maximum']}"
        case kind:
            return str(kind)


def _span(schema: Schema, what: str) -> str:
    lowest, highest = schema.get(f"min{what}", 0), schema[f"max{what}"]
    return f"{lowest} to {highest}" if lowest else f"up to {highest}"


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("_", "\\_") if "`" not in text else text


if __name__ == "__main__":
    main()
