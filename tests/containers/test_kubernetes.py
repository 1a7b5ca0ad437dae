"""What kubectl makes of deploy/kubernetes/, as far as that can be seen without a cluster."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from images import run
from kubernetes_api import KubernetesApi, kubernetes_api

from imports import ROOT

pytestmark = pytest.mark.containers

KUBERNETES = ROOT / "deploy/kubernetes"
COMMAND = "kubectl apply -k deploy/kubernetes"  # as docs/deploy.md has it


@dataclass(frozen=True)
class Apply:
    """Types the command below a folder, to a server that is no cluster."""

    api: KubernetesApi
    environment: dict[str, str]

    def __call__(self, root: Path) -> subprocess.CompletedProcess[str]:
        command = shlex.split(COMMAND)
        return subprocess.run(command, cwd=root, env=self.environment, capture_output=True, text=True, check=False)


@pytest.fixture
def apply(tmp_path: Path) -> Iterator[Apply]:
    with kubernetes_api() as (api, address):
        cluster = {"name": "here", "cluster": {"server": address}}
        context = {"name": "here", "context": {"cluster": "here", "user": ""}}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "here"}
        file = tmp_path / "config.yaml"
        file.write_text(yaml.safe_dump({**config, "clusters": [cluster], "contexts": [context]}))
        yield Apply(api, {**os.environ, "KUBECONFIG": str(file), "KUBECACHEDIR": str(tmp_path / "cache")})


def test_it_is_the_command_that_the_documents_tell():
    assert f"    {COMMAND}\n" in (ROOT / "docs/deploy.md").read_text()


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


def test_the_documented_command_creates_all_of_them_and_again_changes_nothing(apply):
    done = apply(ROOT)
    assert done.returncode == 0, done.stderr
    assert {line.rsplit(" ", 1)[1] for line in done.stdout.splitlines()} == {"created"}
    assert set(apply.api.objects) == {"Service", "Deployment", "HorizontalPodAutoscaler"}
    again = apply(ROOT)
    assert {line.rsplit(" ", 1)[1] for line in again.stdout.splitlines()} == {"unchanged"}


def test_a_field_that_kubernetes_does_not_know_is_refused(apply, tmp_path):
    copy = shutil.copytree(KUBERNETES, tmp_path / "deploy/kubernetes")
    autoscaler = copy / "autoscaler.yaml"
    autoscaler.write_text(autoscaler.read_text().replace("minReplicas", "leastReplicas"))
    done = apply(tmp_path)
    assert done.returncode == 1
    assert "leastReplicas" in done.stderr
    assert "HorizontalPodAutoscaler" not in apply.api.objects
