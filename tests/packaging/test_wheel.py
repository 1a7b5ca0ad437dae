"""What is built is whole and well described, and what is installed from it works far from the project."""

import json
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable
from contextlib import contextmanager

import pytest
import requests

from conftest import SCRIPTS, Installed, run
from imports import PACKAGE, ROOT
from mlflow_servers import free_port

pytestmark = pytest.mark.packaging

SHIPPED = ("templates", "static", "models")


def names_in(wheel):
    return set(zipfile.ZipFile(wheel).namelist())


@contextmanager
def started(installed: Installed, *options: str):
    """`cnnclassifier serve` in an empty folder; its address and process. It must end well when it is told to."""
    port = free_port()
    server = subprocess.Popen(
        [installed.scripts / "cnnclassifier", "serve", "--port", str(port), *options],
        cwd=installed.folder, env=installed.environment,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.terminate()
        assert server.wait(timeout=60) == 0


def wait_for(address: str, server: subprocess.Popen, wanted: Callable[[requests.Response], bool]) -> requests.Response:
    """What /ready says as soon as that is what is wanted."""
    for _ in range(240):
        assert server.poll() is None, "the server ended"
        try:
            answer = requests.get(f"{address}/ready", timeout=5)
        except requests.ConnectionError:
            answer = None
        if answer is not None and wanted(answer):
            return answer
        time.sleep(0.25)
    raise AssertionError(f"not within a minute; at last: {answer and answer.text}")


def test_the_index_would_show_and_take_both(dist):
    run(SCRIPTS / "twine", "check", "--strict", *dist.iterdir())


def test_the_wheel_has_every_module_and_everything_that_the_page_needs(wheel):
    run(SCRIPTS / "check-wheel-contents", "--config", ROOT / "pyproject.toml", wheel)
    modules = {f"cnnClassifier/{file.relative_to(PACKAGE).as_posix()}" for file in PACKAGE.rglob("*.py")}
    shipped = {
        f"cnnClassifier/_shipped/{file.relative_to(ROOT).as_posix()}"
        for folder in SHIPPED
        for file in (ROOT / folder).rglob("*")
        if file.is_file()
    }
    assert not (modules | shipped) - names_in(wheel)


def test_neither_holds_tests_or_what_runs_made(dist, wheel):
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        sdist = archive.getnames()
    parts = {part for name in [*names_in(wheel), *sdist] for part in name.split("/")}
    assert not parts & {"tests", "artifacts", "mlruns", ".venv", ".env", "__pycache__"}


def test_alone_it_predicts_by_the_model_inside(alone, slices):
    answers = json.loads(alone.run("cnnclassifier", "predict", slices, "--format", "json").stdout)
    assert len(answers["results"]) == len(list(slices.rglob("*.png")))
    assert alone.run("python", "-c", "import flask", check=False).returncode == 1


@pytest.mark.parametrize(
    ("command", "extra"), [("serve", "serve"), ("audit .", "train"), ("evaluate --data .", "train")]
)
def test_a_command_whose_extra_is_missing_says_which_in_one_line(alone, command, extra):
    done = alone.run("cnnclassifier", *command.split(), check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: this command needs ")
    assert done.stderr.endswith(f"pip install 'cnnClassifier[{extra}]'\n")
    assert done.stderr.count("\n") == 1


def test_served_from_an_empty_folder_it_answers_without_tensorflow(serving, slices):
    assert serving.run("python", "-c", "import tensorflow", check=False).stderr.endswith(
        "No module named 'tensorflow'\n"
    )
    picture = next(slices.rglob("*.png"))
    with started(serving) as (address, server):
        ready = wait_for(address, server, lambda answer: answer.ok).json()
        assert ready["model"] == "chest_ct"
        with picture.open("rb") as file:
            answer = requests.post(f"{address}/api/v1/predict", files={"image": file}, timeout=60)
        assert answer.json()["state"] in {"answer", "abstained", "refused"}, answer.text
        assert "<html" in requests.get(address, timeout=10).text
        assert requests.get(f"{address}/static/app.js", timeout=10).ok
        assert requests.get(f"{address}/api/v1/openapi.json", timeout=10).ok


def test_a_folder_with_a_configuration_of_its_own_is_served_by_it(serving, tmp_path):
    own = Installed(serving.scripts, tmp_path)
    (tmp_path / "config").mkdir()
    configured = (ROOT / "config/config.yaml").read_text().replace("max_files: 500", "max_files: 0")
    (tmp_path / "config" / "config.yaml").write_text(configured)
    done = own.run("cnnclassifier", "serve", check=False)
    assert done.returncode == 2
    assert "config/config.yaml: serving.max_files" in done.stderr


def test_a_package_that_is_not_there_is_told_at_once(serving, tmp_path):
    done = serving.run("cnnclassifier", "serve", "--package", str(tmp_path / "nothing"), check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: --package {tmp_path / 'nothing'}: there is no model.onnx")
