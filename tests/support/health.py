"""What Argo CD and Flux say of an object, by the checks that deploy/ gives them, in real Lua and CEL."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import celpy
import yaml
from celpy.adapter import json_to_cel
from lupa.lua51 import LuaRuntime

from agora_transcription.api import API_VERSION, KIND

__all__ = ["CHECK", "FLUX_FOR_KSTATUS", "ArgoHealth", "argo_health", "as_argo_shows", "flux_health", "run_lua"]

DEPLOY = Path(__file__).parents[2] / "deploy"

CHECK = DEPLOY / "argocd" / "health" / "transcription.dev" / "TranscriptionTask"
"""The folder in the form of resource_customizations/ of Argo CD's repository."""

_LEFT_OUT = ("coroutine", "debug", "io", "math", "os", "python", "string")
"""Libraries that a check in Argo CD does not have (of os two functions, which no check here needs), and lupa's own."""


class ArgoHealth(NamedTuple):
    status: str
    message: str


def argo_health(body: dict[str, Any]) -> ArgoHealth:
    """What health.lua returns."""
    return run_lua((CHECK / "health.lua").read_text(), body)


def as_argo_shows(body: dict[str, Any]) -> str:
    """What Argo CD shows: it runs no check on an object that is being deleted (gitops-engine/pkg/health/health.go)."""
    return "Progressing" if "deletionTimestamp" in body["metadata"] else argo_health(body).status


def run_lua(script: str, body: dict[str, Any]) -> ArgoHealth:
    """Run a health check as Argo CD does: Lua 5.1, the object as `obj`, without the libraries that it leaves out."""
    lua = LuaRuntime(register_eval=False, register_builtins=False)
    variables = lua.globals()
    # Strings have methods by their metatable, which comes with the string library.
    lua.execute('debug.setmetatable("", nil)')
    for name in _LEFT_OUT:
        variables[name] = None
    variables["obj"] = lua.table_from(body, recursive=True)
    result = lua.execute(script)
    return ArgoHealth(result["status"], result["message"])


FLUX_FOR_KSTATUS = {"InProgress": "inProgress", "Failed": "failed", "Current": "current"}
"""Which expression answers for which of kstatus' words."""


def _compiled() -> dict[str, celpy.Runner]:
    """The health check expressions, in the order in which kustomize-controller asks them."""
    documents = yaml.safe_load_all((DEPLOY / "flux" / "kustomizations.yaml").read_text())
    [check] = [entry for document in documents for entry in document["spec"].get("healthCheckExprs", [])]
    assert (check["apiVersion"], check["kind"]) == (API_VERSION, KIND)
    environment = celpy.Environment()
    return {word: environment.program(environment.compile(check[word])) for word in ("inProgress", "failed", "current")}


_PROGRAMS = _compiled()


def flux_health(body: dict[str, Any]) -> str | None:
    """The first expression that is true of the object; where none is, Flux waits."""
    activation = {key: json_to_cel(value) for key, value in body.items()}
    return next((word for word, program in _PROGRAMS.items() if program.evaluate(activation)), None)
