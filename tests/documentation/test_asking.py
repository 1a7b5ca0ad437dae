"""What the pages tell programs to send to the server is answered, by curl as it stands there."""

import json
import subprocess
from collections.abc import Iterator

import numpy as np
import pytest
from commands import PAGES, lines_of
from PIL import Image

from ct_files import ct, zipped
from environment import clean_environment
from pictures import body, encode
from project import Project, copy_project
from served_app import served

pytestmark = pytest.mark.documentation

SERVER = "http://127.0.0.1:8080"
ASKED = list(dict.fromkeys(line for page in PAGES for line in lines_of(page, "curl") if SERVER in line))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with the released model, readers' labels asked for, and the files that the pages name."""
    environment = {**clean_environment(), "CNNCLASSIFIER_FEEDBACK": "true", "CNNCLASSIFIER_PREDICTION_LOG": "log.db"}
    project = copy_project(tmp_path_factory.mktemp("asked") / "project", environment)
    scan = encode(Image.fromarray(body()[0].astype(np.uint8)))
    slice_ = ct(-700)
    files = {"scan.png": scan, "scan.dcm": slice_, "scans.zip": zipped({"a.png": scan, "b.dcm": slice_})}
    for name, data in files.items():
        (project.root / name).write_bytes(data)
    return project


@pytest.fixture(scope="module")
def address(project: Project) -> Iterator[str]:
    with served(project) as address:
        yield address


def send(line: str, project: Project, address: str) -> str:
    """What the server says to a line of a page; an error if it is anything but success."""
    line = line.replace("curl ", "curl --silent --show-error --fail-with-body ", 1).replace(SERVER, address)
    done = subprocess.run(["bash", "-c", line], cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("line", ASKED)
def test_a_line_is_answered(line, project, address):
    if '"request_id": "..."' in line:
        answer = json.loads(send(f"curl -F image=@scan.png {SERVER}/api/v1/predict", project, address))
        line = line.replace("...", answer["request_id"])
    assert send(line, project, address).strip()


def test_there_are_lines_to_send():
    assert len(ASKED) >= 5
