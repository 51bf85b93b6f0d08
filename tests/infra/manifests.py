"""Kubernetes objects in YAML, held against the types of the API as the ``kubernetes`` client has them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

Manifest = dict[str, Any]

FOREIGN = {"cert-manager.io/v1", "monitoring.coreos.com/v1"}
"""API versions of others, whose types the client does not have."""


def load(text: str) -> list[Manifest]:
    """Return the objects of a YAML text, read as the API server reads it: keys given twice are an error."""
    return [found for found in yaml.load_all(text, _Strict) if found]


def read(path: Path) -> list[Manifest]:
    return load(path.read_text("utf-8"))


class _Strict(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{node.start_mark}: a key is given twice"
        return super().construct_mapping(node, deep)


def only(manifests: list[Manifest], kind: str) -> Manifest:
    (found,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return found


def problems(manifest: Manifest) -> list[str]:
    """Return what is wrong: keys that the API does not know, values of other types, required ones that are missing."""
    if manifest["apiVersion"] in FOREIGN:
        return []
    models = pytest.importorskip("kubernetes.client.models", reason="the kubernetes client is not installed")
    if not hasattr(models.V1Pod, "model_validate"):
        pytest.skip("this kubernetes client does not check types")
    name = _model(manifest)
    if not hasattr(models, name):
        return [f"there is no {name}"]
    try:
        getattr(models, name).model_validate(manifest)
    except ValueError as error:
        return [str(error)]
    return []


def _model(manifest: Manifest) -> str:
    group, _, version = manifest["apiVersion"].rpartition("/")
    assert group in ("", "apps", "policy", "networking.k8s.io", "rbac.authorization.k8s.io"), group
    return f"{version.capitalize()}{manifest['kind']}"
