"""What kubectl makes of deploy/kubernetes/, as far as that can be seen without a cluster."""

import sys
from pathlib import Path

import pytest
import yaml
from images import run

from imports import ROOT

pytestmark = pytest.mark.containers

KUBERNETES = ROOT / "deploy/kubernetes"


def test_kustomize_gives_manifests_that_kubernetes_schemas_take_with_the_image_of_the_registry(tmp_path):
    made = tmp_path / "made.yaml"
    made.write_text(run("kubectl", "kustomize", KUBERNETES))
    run(Path(sys.executable).with_name("kubernetes-validate"), "--strict", "--quiet", made)
    by_kind = {each["kind"]: each for each in yaml.safe_load_all(made.read_text())}
    assert set(by_kind) == {"Deployment", "Service", "HorizontalPodAutoscaler"}
    deployment, autoscaler = by_kind["Deployment"], by_kind["HorizontalPodAutoscaler"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (image,) = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["images"]
    assert container["image"] == f"{image['newName']}:{image['newTag']}"
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
