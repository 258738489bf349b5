"""Finds the manifests that the demo applies: in a checkout where everybody edits them, in a wheel beside this module.

The wheel's are copies, put there when it is built (`force-include` in pyproject.toml), so there is one source.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Manifests", "find_manifests"]

_PACKAGED = Path(__file__).with_name("manifests")
_CHECKOUT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Manifests:
    """Folders of manifests, by path.

    Attributes:
        crds: the CustomResourceDefinition, for `kubectl apply -f`.
        rbac: the operator's namespace, ServiceAccount and roles, for `kubectl apply -k`.
        admission: the policy that adds the operator's finalizer to new tasks, for `kubectl apply -k`.
        samples: a Secret and a TranscriptionTask, for `kubectl apply -f`.
    """

    crds: Path
    rbac: Path
    admission: Path
    samples: Path


def find_manifests() -> Manifests:
    """Find the folders.

    Raises:
        FileNotFoundError: this is neither a whole checkout nor a wheel; the message is the folder that is missing.
    """
    if _PACKAGED.is_dir():
        found = Manifests(*(_PACKAGED / name for name in ("crds", "rbac", "admission", "samples")))
    else:
        deploy = _CHECKOUT / "deploy"
        kustomize = deploy / "kustomize"
        found = Manifests(_CHECKOUT / "crds", kustomize / "rbac", kustomize / "admission", deploy / "samples")
    for folder in (found.crds, found.rbac, found.admission, found.samples):
        if not folder.is_dir():
            raise FileNotFoundError(f"the folder {folder} is missing")
    return found
