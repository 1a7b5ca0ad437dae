"""The command line: experiments made active, errors in one line."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cnnClassifier import cli
from cnnClassifier.components import STAGES
from cnnClassifier.config.loading import PARAMS_FILE
from cnnClassifier.errors import ConfigError, DataError
from cnnClassifier.explaining import WHERE, explain
from cnnClassifier.pipeline import activate
from cnnClassifier.tracking.client import import_mlflow
from cnnClassifier.tracking.run import read_record
from environment import clean_environment
from pictures import write_tree
from project import Project, copy_project
from sweep_project import listen_to_ctrl_c
from waiting import wait_until


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copy_project(tmp_path_factory.mktemp("cli") / "project", clean_environment())


@pytest.fixture
def inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project.root)
    return project.root


def test_help_names_every_stage(project):
    shown = project.main("--help").stdout
    assert all(stage in shown for stage in STAGES)


@pytest.mark.parametrize("options", [["--ray="], ["--workers", "3"]])
def test_options_of_a_cluster_that_is_not_named_are_refused(project, options):
    done = project.main("features", *options, check=False)
    assert done.returncode == 2
    assert "--ray" in done.stderr.splitlines()[-1]


def test_an_unknown_experiment_is_one_line_that_lists_those_there_are(project):
    done = project.main("--experiment", "chest_xt", check=False)
    assert done.returncode == 2
    assert "chest_ct" in done.stderr
    assert "phantom" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["results", "train", "evaluation"])
def test_an_experiment_named_before_a_command_is_refused_and_not_ignored(project, command):
    done = project.main("--experiment", "chest_ct", command, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: --experiment chest_ct: `{command}` does not take it here")
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_command_is_refused(project):
    done = project.main("trainig", check=False)
    assert done.returncode == 2
    assert "trainig" in done.stderr


def test_an_unknown_level_of_the_log_is_one_line(project):
    done = project.run(
        "env", "CNNCLASSIFIER_LOG_LEVEL=verbose", sys.executable, "main.py", "results", check=False
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "error: CNNCLASSIFIER_LOG_LEVEL=verbose: unknown log level; "
        "expected one of debug, info, warning, error, critical\n"
    )


def test_a_folder_to_serve_that_holds_no_model_is_one_line_that_names_the_option(project, tmp_path):
    done = project.main("serve", "--package", str(tmp_path), check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: --package {tmp_path}: there is no model.onnx")
    assert done.stderr.count("\n") == 1


def test_what_the_system_refuses_is_one_line_with_the_file(project, tmp_path):
    (tmp_path / "file").touch()
    done = project.main("backup", "--out", str(tmp_path / "file/registry.tar"), check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}/file")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a", None, "b"), "a -> b: No space left on device"),
        (OSError("said by a\nlibrary"), "said by a library"),
        (sqlite3.OperationalError("database or disk is full"), "SQLite: database or disk is full"),
        (sqlite3.DatabaseError("disk image is malformed"), "SQLite: disk image is malformed"),
    ],
)
def test_a_line_has_the_files_and_what_was_said(error, line):
    assert explain(error) == f"{line} ({WHERE})"


@pytest.mark.parametrize("error", [TypeError("x"), KeyError("x"), sqlite3.ProgrammingError("x")])
def test_a_fault_of_the_program_has_its_traceback_and_a_code_of_its_own(error, monkeypatch, capsys):
    """Not 1: to `drift` that is an alarm."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(cli, "_set_up", lambda: None)
    assert cli.main() == 70
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert type(error).__name__ in shown


def test_a_stage_without_its_input_says_what_to_run_first(project):
    done = project.main("data_audit", check=False)
    assert done.returncode == 2
    assert "python main.py data_ingestion" in done.stderr


def test_any_folder_can_be_audited_without_a_configuration(project, tmp_path):
    root = write_tree(tmp_path / "data", splits=["train", "test"])
    (root / "test/normal/copy.png").write_bytes((root / "train/normal/p002_0.png").read_bytes())
    shown = project.main("audit", str(root), "--out", str(tmp_path / "out")).stdout
    assert "The published test split shares 1 of 7 images with training" in " ".join(shown.split())
    assert "13 images (train 6, test 7) of 3 classes (benign, malignant, normal)" in " ".join(shown.split())
    assert f"Report with pictures: {tmp_path}/out/audit.html\n" in shown  # piped, a long line is not folded
    assert (tmp_path / "out/audit.html").is_file()
    refused = project.main("audit", str(tmp_path / "out"), check=False)
    assert refused.returncode == 2
    assert "no image that can be read" in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize(("folder", "out"), [(b"caf\xe9", b"out"), (b"cafe", b"caf\xe9")])
def test_a_folder_is_audited_whose_name_is_not_utf_8(project, tmp_path, folder, out):
    root, report = (tmp_path / os.fsdecode(name) for name in (folder, out))
    write_tree(root, splits=[""], classes=["polyp"])
    strict = Project(project.root, {**project.environment, "PYTHONIOENCODING": "utf-8:strict"})
    shown = strict.main("audit", str(root), "--out", str(report)).stdout
    assert "caf\\xe9" in (shown + (report / "audit.html").read_text(encoding="utf-8"))


def test_making_an_experiment_active_replaces_the_shipped_parameters(inside):
    activate("chest_ct")
    assert PARAMS_FILE.read_bytes() == (inside / "config/experiments/chest_ct.yaml").read_bytes()
    assert not list(inside.glob("params.yaml.bak*"))


def test_making_an_experiment_active_keeps_edits_aside(inside):
    activate("chest_ct")
    PARAMS_FILE.write_text(PARAMS_FILE.read_text() + "# mine\n")
    activate("phantom")
    (kept,) = inside.glob("params.yaml.bak*")
    assert kept.read_text().endswith("# mine\n")
    kept.unlink()


def test_making_an_experiment_active_replaces_a_link_and_not_what_it_leads_to(inside):
    shipped = inside / "config/experiments/chest_ct.yaml"
    before = shipped.read_bytes()
    PARAMS_FILE.unlink()
    PARAMS_FILE.symlink_to(shipped)
    activate("phantom")
    assert PARAMS_FILE.read_bytes() == (inside / "config/experiments/phantom.yaml").read_bytes()
    assert shipped.read_bytes() == before


def test_a_broken_experiment_file_leaves_the_active_one_alone(inside):
    broken = inside / "config/experiments/broken.yaml"
    broken.write_text("training: 1\n")
    before = PARAMS_FILE.read_bytes()
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        activate("broken")
    assert PARAMS_FILE.read_bytes() == before
    broken.unlink()


def test_train_says_what_it_would_change_and_changes_nothing(project):
    before = (project.root / "params.yaml").read_bytes()
    done = project.main("train", "--epochs", "50", "--learning-rate", "1e-4", "--model-name", "x", "--dry-run")
    assert done.stdout.splitlines() == [
        "params.yaml:",
        "  training.epochs: 200 -> 50",
        "  training.learning_rate: 0.004 -> 0.0001",
        "  registration.name: phantom -> x",
    ]
    assert (project.root / "params.yaml").read_bytes() == before


def test_train_refuses_what_is_not_allowed_before_it_writes(project):
    before = (project.root / "params.yaml").read_bytes()
    done = project.main("train", "--epochs", "0", check=False)
    assert done.returncode == 2
    assert "training.epochs" in done.stderr.splitlines()[-1]
    assert (project.root / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(("option", "key"), [("--model-name", "registration.name"), ("--backbone", "backbone")])
def test_train_refuses_an_empty_name(project, option, key):
    done = project.main("train", option, "", "--dry-run", check=False)
    assert done.returncode == 2
    assert key in done.stderr.splitlines()[-1]
    assert "has these values already" not in done.stdout


def test_train_keeps_edits_aside_writes_and_then_runs_the_pipeline(project):
    params = project.root / "params.yaml"
    before = params.read_text()
    params.write_text(before + "# mine\n")
    # A server that is down ends the run where it would begin.
    environment = {**project.environment, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    done = Project(project.root, environment).main("train", "--epochs", "3", check=False)
    assert done.returncode == 2
    assert "127.0.0.1:9" in done.stderr.splitlines()[-1]
    assert params.read_text() == before.replace("epochs: 200", "epochs: 3") + "# mine\n"
    (kept,) = project.root.glob("params.yaml.bak*")
    assert kept.read_text() == before + "# mine\n"
    kept.unlink()
    params.write_text(before)


def test_a_promotion_without_a_reason_is_refused(project):
    for arguments in (("promote", "1"), ("promote", "1", "--because", " ")):
        done = project.main(*arguments, check=False)
        assert done.returncode == 2
        assert "because" in done.stderr


def test_promoting_a_model_that_was_never_registered_is_one_line(project):
    environment = {**project.environment, "MLFLOW_TRACKING_URI": f"sqlite:///{project.root}/none.db"}
    done = Project(project.root, environment).main("promote", "1", "--because", "checked by hand", check=False)
    assert done.returncode == 2
    assert "no model phantom; run the pipeline to register one" in done.stderr.splitlines()[-1]


def test_results_before_a_run_say_what_to_type(project):
    done = project.main("results", check=False)
    assert done.returncode == 2
    assert "python main.py" in done.stderr


def test_the_readme_table_is_what_the_code_makes_of_the_kept_metrics():
    from cnnClassifier.results import results_section, samples_section, with_section

    root = Path(__file__).resolve().parents[1]
    readme = (root / "README.md").read_text(encoding="utf-8")
    assert with_section(readme, results_section(root / "docs/results")) == readme
    page = (root / "docs/results.md").read_text(encoding="utf-8")
    assert with_section(page, samples_section(root / "docs/results/samples")) == page


def test_a_readme_without_markers_is_refused():
    from cnnClassifier.results import with_section

    with pytest.raises(DataError, match="results"):
        with_section("# Title\n", "table\n")


def test_make_help_names_the_targets_of_the_readme():
    shown = subprocess.run(
        ["make", "help"], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    ).stdout
    assert all(f"make {target}" in shown for target in ("run", "test", "serve", "ui", "help"))


def test_ctrl_c_during_a_stage_is_told_once_and_the_run_is_killed(tmp_path):
    project = copy_project(tmp_path / "project", clean_environment())
    cache = project.root / ".cache/cnnClassifier"
    running = subprocess.Popen(
        [sys.executable, "main.py"], cwd=project.root, env=project.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=listen_to_ctrl_c,
    )  # fmt: skip
    try:
        wait_until(lambda: read_record(cache), running, seconds=120, pause=0.1)
        time.sleep(0.5)  # the stage begins
    finally:
        os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=120)  # until the stage has ended too: it writes to the same pipe
    assert running.returncode == 130
    assert errors.count("interrupted; run the same command again to go on") == 1
    client = import_mlflow().MlflowClient(f"sqlite:///{project.root}/mlflow.db")
    assert client.get_run(read_record(cache).run_id).info.status == "KILLED"
