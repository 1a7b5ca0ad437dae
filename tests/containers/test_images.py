"""The Dockerfile's stages, made by its own steps, and the server started in one of them as its user."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from images import Builder, Image, run, start

from cnnClassifier.config.data import PhantomSource
from cnnClassifier.datasets.phantom.dataset import write_phantom
from imports import ROOT
from mlflow_servers import free_port

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3600)]

USER = 10001
LARGEST_MB = 450


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    builder = Builder(tmp_path_factory.mktemp("images"))
    builder.make_bases()
    yield builder
    builder.close()


@pytest.fixture(scope="session")
def serving(builder: Builder) -> Image:
    return builder.build("serving")


@pytest.fixture(scope="session")
def training(builder: Builder) -> Image:
    return builder.build("training")


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "drawn"
    write_phantom(folder, PhantomSource(kind="phantom", seed=1, patients_per_class=3, slices_per_patient=1), workers=1)
    return next((folder / "images").rglob("*.png"))


def writable_in_the_deployment() -> tuple[str, ...]:
    deployment = yaml.safe_load((ROOT / "deploy/kubernetes/deployment.yaml").read_text())
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return tuple(mount["mountPath"] for mount in container["volumeMounts"])


def test_the_serving_image_is_small(serving):
    print(f"serving: {serving.megabytes:.0f} MB with Debian's base; {serving.largest_parts()}")  # noqa: T201
    assert serving.megabytes < LARGEST_MB


def test_the_serving_image_has_no_secret_no_installer_and_no_tensorflow(serving):
    packages = serving.root / "opt/venv/lib/python3.11/site-packages"
    assert not [name for name in ("pip", "tensorflow", "keras", "dvc") if (packages / name).exists()]
    assert not (serving.root / "app/.env").exists()
    assert not (serving.root / "app/tests").exists()


def test_as_its_user_on_a_read_only_root_it_answers_and_stops_on_sigterm(serving, picture):
    assert serving.config["User"] == str(USER)
    port = free_port()
    where = {"PORT": str(port), "HOST": "127.0.0.1"}
    server = start(serving, *serving.config["Cmd"], writable=writable_in_the_deployment(), user=USER, environment=where)
    try:
        began = time.monotonic()
        wait_until_ready(port, server)
        print(f"ready after {time.monotonic() - began:.1f} s")  # noqa: T201
        status = dict(line.split(":\t", 1) for line in own_process(server).joinpath("status").read_text().splitlines())
        assert set(status["Uid"].split()) == {str(USER)}
        with picture.open("rb") as file:
            answer = requests.post(f"http://127.0.0.1:{port}/api/v1/predict", files={"image": file}, timeout=120)
        assert answer.status_code == 200, answer.text
        assert set(answer.json()["probabilities"]) >= {"normal", "adenocarcinoma"}
        os.kill(int(own_process(server).name), signal.SIGTERM)
        assert server.wait(timeout=60) == 0
    finally:
        server.kill()


def test_its_user_can_write_nowhere_else(serving):
    script = (
        "for folder in / /app /app/src /opt/venv /home/serve; do touch $folder/x && exit 1; done; "
        "touch /tmp/x /app/.cache/x"
    )
    done = start(serving, "sh", "-c", script, writable=writable_in_the_deployment(), user=USER)
    assert done.wait(timeout=60) == 0


def test_the_training_image_runs_the_pipeline_in_a_mounted_clone(training, tmp_path):
    clone = tmp_path / "clone"
    run("git", "clone", "--quiet", ROOT, clone)
    run("chown", "-R", f"{USER}:{USER}", tmp_path)
    (training.root / "project").mkdir(exist_ok=True)
    stages = ("data_ingestion", "data_audit", "prepare_base_model")
    shell = " && ".join([*(f"python main.py {stage}" for stage in stages), "dvc status"])
    done = start(training, "sh", "-c", shell, writable=("/tmp",), user=USER, mount={clone: "/project"})  # noqa: S108
    assert done.wait(timeout=1800) == 0
    assert (clone / "artifacts/prepare_base_model/base_model/model.json").is_file()


def own_process(server: subprocess.Popen[str]) -> Path:
    """The program itself, below `unshare`."""
    child = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return Path("/proc") / child[0]


def wait_until_ready(port: int, server: subprocess.Popen[str]) -> None:
    for _ in range(480):
        assert server.poll() is None, "the server ended"
        try:
            if requests.get(f"http://127.0.0.1:{port}/ready", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.25)
    raise AssertionError("not ready within two minutes")
