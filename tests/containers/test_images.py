"""The Dockerfile's stages, made by its own steps; the pipeline run in one and its model served in the other."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from images import Builder, Image, run, start
from served import ask

from cnnClassifier.config.loading import load_project
from cnnClassifier.files import read_json
from cnnClassifier.model_spec import digest_package
from imports import ROOT
from mlflow_servers import free_port
from served_app import wait_until_ready

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3600)]

USER = 10001
LARGEST_MB = {"serving": 450, "training": 4000}
KEPT = ROOT / "docs/results/phantom.json"


@pytest.fixture(scope="session")
def training(builder: Builder) -> Image:
    return builder.build("training")


@pytest.fixture(scope="session")
def trained(training: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the training image's own command ran: as its user, and with no network."""
    clone = tmp_path_factory.mktemp("trained") / "clone"
    run("git", "clone", "--quiet", ROOT, clone)
    run("chown", "-R", f"{USER}:{USER}", clone)
    began = time.monotonic()
    assert in_training(training, clone, *training.config["Cmd"]) == 0
    print(f"the pipeline took {time.monotonic() - began:.0f} s")  # noqa: T201
    return clone


def writable_in_the_deployment() -> tuple[str, ...]:
    deployment = yaml.safe_load((ROOT / "deploy/kubernetes/deployment.yaml").read_text())
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return tuple(mount["mountPath"] for mount in container["volumeMounts"])


def test_the_serving_image_is_small(serving):
    print(f"serving: {serving.megabytes:.0f} MB with Debian's base; {serving.parts('opt/venv', 'app')}")  # noqa: T201
    assert serving.megabytes < LARGEST_MB["serving"]


def test_the_serving_image_has_no_secret_no_installer_and_no_tensorflow(serving):
    packages = serving.root / "opt/venv/lib/python3.11/site-packages"
    assert not [name for name in ("pip", "tensorflow", "keras", "dvc") if (packages / name).exists()]
    assert not (serving.root / "app/.env").exists()
    assert not (serving.root / "app/tests").exists()


def test_as_its_user_on_a_read_only_root_it_answers_and_stops_on_sigterm(serving, picture):
    assert serving.config["User"] == str(USER)
    with served(serving) as (address, server):
        status = dict(line.split(":\t", 1) for line in own_process(server).joinpath("status").read_text().splitlines())
        assert set(status["Uid"].split()) == {str(USER)}
        assert set(ask(address, picture)["probabilities"]) >= {"normal", "adenocarcinoma"}
        os.kill(int(own_process(server).name), signal.SIGTERM)
        assert server.wait(timeout=60) == 0


def test_its_user_can_write_nowhere_else(serving):
    script = (
        "for folder in / /app /app/src /opt/venv /home/serve; do touch $folder/x && exit 1; done; "
        "touch /tmp/x /app/.cache/x"
    )
    done = start(serving, "sh", "-c", script, writable=writable_in_the_deployment(), user=USER)
    assert done.wait(timeout=60) == 0


def test_the_training_image_has_git_and_the_locked_environment_and_no_code(training):
    print(f"training: {training.megabytes:.0f} MB with Debian's base; {training.parts('opt/venv')}")  # noqa: T201
    assert training.megabytes < LARGEST_MB["training"]
    assert (training.root / "usr/bin/git").exists()
    assert not list((training.root / "project").iterdir())


def test_the_pipeline_ran_in_the_training_image_and_gave_the_metrics_that_are_kept(trained, training):
    assert training.config["User"] == str(USER)
    found, kept = read_json(trained / load_project(ROOT / "config/config.yaml").paths.metrics), read_json(KEPT)
    for protocol in ("grouped_cv", "published", "deduplicated"):
        expected = kept[protocol]["balanced_accuracy"]["value"]
        assert found[protocol]["balanced_accuracy"]["value"] == pytest.approx(expected, abs=0.02)


def test_afterwards_dvc_there_finds_nothing_to_do_and_everything_is_its_users(trained, training):
    assert in_training(training, trained, "dvc", "status", "--quiet") == 0
    assert {file.lstat().st_uid for file in trained.rglob("*")} == {USER}


def test_what_was_trained_there_is_served_by_the_serving_image(trained, serving, picture):
    package = trained / load_project(ROOT / "config/config.yaml").paths.package
    mounted = {"mount": {package: "/model"}, "environment": {"CNNCLASSIFIER_MODEL_DIR": "/model"}}
    with served(serving, **mounted) as (address, _):
        assert ask(address, picture)["version"] == digest_package(package)


def in_training(image: Image, clone: Path, *command: str) -> int:
    """The code with which a command ends in the training image, at a clone, without a network."""
    done = start(image, *command, writable=("/tmp",), user=USER, mount={clone: "/project"}, network=False)  # noqa: S108
    try:
        return done.wait(timeout=1800)
    finally:
        done.kill()
        done.wait()


@contextmanager
def served(
    image: Image, environment: dict[str, str] | None = None, **options: dict[Path, str]
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The serving image's own command as the deployment runs it, once it is ready: its address and its process."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    where = {"PORT": str(port), "HOST": "127.0.0.1", **(environment or {})}
    writable = writable_in_the_deployment()
    server = start(image, *image.config["Cmd"], writable=writable, user=USER, environment=where, **options)
    try:
        began = time.monotonic()
        wait_until_ready(address, server)
        print(f"ready after {time.monotonic() - began:.1f} s")  # noqa: T201
        yield address, server
    finally:
        server.kill()
        server.wait()


def own_process(server: subprocess.Popen[str]) -> Path:
    """The program itself, below `unshare`."""
    child = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return Path("/proc") / child[0]
