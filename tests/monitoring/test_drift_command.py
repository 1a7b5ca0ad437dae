"""`python main.py drift` and `feedback`, as they are typed: exit codes, the page, what is kept for /metrics."""

import re
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cnnClassifier.model_spec import digest_package
from cnnClassifier.monitoring.entries import read_log
from cnnClassifier.monitoring.feedback import correct
from cnnClassifier.monitoring.reading import last_checks
from cnnClassifier.monitoring.reference import REFERENCE_FILE, Axes, save_training_reference
from environment import clean_environment
from imports import ROOT
from tiny_release import SIZE, write_tiny_package
from watched import TRAINED, draw, entries_of, reference_of, write_log

FEATURES = SIZE * SIZE * 3  # of the tiny package: its pixels


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A package, and beside it the reference of drawn patients, for its features."""
    folder = write_tiny_package(tmp_path_factory.mktemp("models") / "drawn")
    blind = Axes(np.zeros(FEATURES, np.float32), np.zeros((4, FEATURES), np.float32))
    save_training_reference(replace(reference_of(TRAINED), axes=blind), folder / REFERENCE_FILE)
    return folder


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "main.py", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=clean_environment() | environment, capture_output=True, text=True, check=False
    )


def log_of(package: Path, path: Path, *args, **kwargs) -> Path:
    return write_log(
        path, entries_of(draw(*args, **kwargs), reference_of(TRAINED), package.name, digest_package(package))
    )


def test_new_patients_are_no_drift(package, tmp_path):
    log = log_of(package, tmp_path / "log.db", 20, seed=1)
    out = tmp_path / "drift.html"
    done = run("drift", "--log", log, "--package", package, "--out", out)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"drawn version \w+, \d+ images: no drift; {out}\n", done.stdout)
    page = out.read_text()
    assert "no drift" in page
    assert "alarm</span>" not in page
    assert not re.findall(r"(?:src|href)=|<script|https?://", page)  # one file that loads nothing


def test_another_scanner_is_an_exit_code_a_page_and_a_figure(package, tmp_path):
    log = log_of(package, tmp_path / "log.db", 20, seed=1, noisier=3)
    out = tmp_path / "drift.html"
    done = run("drift", "--package", package, "--out", out, CNNCLASSIFIER_PREDICTION_LOG=str(log))
    assert done.returncode == 1
    assert ": DRIFT in noise (effect 0." in done.stdout
    assert "drift in noise</h1>" in out.read_text()
    with closing(read_log(log)) as connection:
        (checked,) = last_checks(connection)
    assert [finding.name for finding in checked.alarms] == ["noise"]


@pytest.mark.parametrize(
    ("out", "said"),
    [("", "a folder; name a file in it"), ("log.db", "would be lost"), ("log.db/drift.html", "File exists")],
)
def test_a_page_that_cannot_be_written_is_no_alarm(package, tmp_path, out, said):
    log = log_of(package, tmp_path / "log.db", 20, seed=1, noisier=3)
    done = run("drift", "--log", log, "--package", package, "--out", tmp_path / out)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    with closing(read_log(log)) as connection:
        assert last_checks(connection) == []


def test_a_package_without_a_reference_says_so(tmp_path):
    package = write_tiny_package(tmp_path / "old")
    log = write_log(tmp_path / "log.db", entries_of(draw(2, seed=1), reference_of(TRAINED)))
    done = run("drift", "--log", log, "--package", package, "--out", tmp_path / "drift.html")
    assert done.returncode == 2
    assert done.stderr.startswith("error: model old version ")
    assert "no reference.npz" in done.stderr
    assert not (tmp_path / "drift.html").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no prediction log: name one with --log"),
        (("--log", "nowhere.db"), "nowhere.db: no prediction log"),
        (("--log", "x", "--since", "sometime"), "--since sometime: expected a time"),
        (("--log", "x", "--since", "0m", "--until", "7d"), "--since must be before --until"),
    ],
)
def test_what_is_missing_is_one_line(package, tmp_path, arguments, said):
    done = run("drift", "--package", package, "--out", tmp_path / "drift.html", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_feedback_is_exported_as_typed(package, tmp_path):
    log = log_of(package, tmp_path / "log.db", 2, seed=1)
    with closing(read_log(log)) as connection:
        correct(connection, "r0", 0, "b")
    done = run("feedback", "--log", log, "--out", tmp_path / "manifest.csv")
    assert done.returncode == 0
    assert done.stdout.startswith(f"{tmp_path}/manifest.csv: 1 images with readers' labels; no --images")
    assert (tmp_path / "manifest.csv").read_text().splitlines()[1].startswith(",b,")
