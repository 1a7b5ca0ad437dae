"""The files of deploy/ against linters and schemas that are installed, and against what the app really has."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cnnClassifier.config.loading import load_project
from imports import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
MANIFESTS = ("deployment.yaml", "service.yaml", "autoscaler.yaml")
SCRIPTS = Path(sys.executable).parent
COMPOSE = ("check-jsonschema", "--builtin-schema", "vendor.compose-spec")
KUBERNETES_SCHEMAS = ("kubernetes-validate", "--strict", "--quiet")


def check(tool: tuple[str, ...], file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPTS / tool[0], *tool[1:], file], capture_output=True, text=True, check=False)


def container_of_the_deployment() -> dict:
    deployment = yaml.safe_load((KUBERNETES / "deployment.yaml").read_text())
    return deployment["spec"]["template"]["spec"]["containers"][0]


def assert_passes(tool: tuple[str, ...], file: Path) -> None:
    done = check(tool, file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", ["Dockerfile", "deploy/lambda/Dockerfile", "deploy/mlflow/Dockerfile"])
def test_dockerfiles_pass_hadolint(file):
    assert_passes(("hadolint",), ROOT / file)


def test_the_compose_file_is_as_the_compose_specification_says():
    assert_passes(COMPOSE, DEPLOY / "compose.yaml")


@pytest.mark.parametrize("file", MANIFESTS)
def test_manifests_are_as_kubernetes_schemas_say(file):
    assert_passes(KUBERNETES_SCHEMAS, KUBERNETES / file)


@pytest.mark.parametrize(
    ("tool", "file", "right", "wrong"),
    [
        (COMPOSE, DEPLOY / "compose.yaml", "restart:", "restarts:"),
        (KUBERNETES_SCHEMAS, KUBERNETES / "deployment.yaml", "readinessProbe:", "readyProbe:"),
        (("hadolint",), DEPLOY / "lambda/Dockerfile", "ENTRYPOINT [", "ENTRYPOINT python ["),
    ],
)
def test_a_slip_in_them_is_found(tmp_path, tool, file, right, wrong):
    slip = tmp_path / file.name
    slip.write_text(file.read_text().replace(right, wrong))
    assert check(tool, slip).returncode != 0


@pytest.mark.parametrize("dockerfile", ["Dockerfile", "deploy/lambda/Dockerfile"])
def test_what_an_image_copies_is_there_and_not_kept_from_the_builder(dockerfile):
    lines = (ROOT / dockerfile).read_text().splitlines()
    copies = [Path(source) for line in lines if line.startswith("COPY") and "--from" not in line
              for source in line.split()[1:-1]]  # fmt: skip
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert copies
    for source in copies:
        assert (ROOT / source).exists()
        assert any(each.match(pattern) for each in (source, *source.parents) for pattern in let_in), source


def test_kustomization_has_every_manifest_and_their_image():
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    assert sorted(kustomization["resources"]) == sorted(MANIFESTS)
    container = container_of_the_deployment()
    assert [image["name"] for image in kustomization["images"]] == [container["image"]]


def test_pods_are_scaled_by_a_figure_that_the_app_gives_and_probed_where_it_answers(client):
    autoscaler = yaml.safe_load((KUBERNETES / "autoscaler.yaml").read_text())["spec"]
    figure = autoscaler["metrics"][0]["pods"]
    assert f"\n{figure['metric']['name']} " in client.get("/metrics").text
    assert int(figure["target"]["averageValue"]) < load_project(ROOT / "config/config.yaml").serving.queue
    container = container_of_the_deployment()
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert client.get(container[probe]["httpGet"]["path"]).status_code == 200


def test_elastic_beanstalk_leads_to_the_port_that_the_image_listens_on():
    run = json.loads((DEPLOY / "elastic-beanstalk/Dockerrun.aws.json").read_text())
    assert run["AWSEBDockerrunVersion"] == "1"
    assert f"EXPOSE {run['Ports'][0]['ContainerPort']}\n" in (ROOT / "Dockerfile").read_text()
    options = yaml.safe_load((DEPLOY / "elastic-beanstalk/.ebextensions/app.config").read_text())["option_settings"]
    assert options["aws:elasticbeanstalk:environment:process:default"]["HealthCheckPath"] == "/ready"
