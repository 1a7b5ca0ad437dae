"""Where runs are logged: a file in the project or a server, and an address that cannot be used, told in one line."""

import errno
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from cnnClassifier.errors import TrackingError
from cnnClassifier.project_root import project_root
from cnnClassifier.tracking import connection
from cnnClassifier.tracking.client import import_mlflow
from cnnClassifier.tracking.connection import Connection, connect
from mlflow_servers import free_port
from waiting import wait_until

MODULES = (
    "client", "connection", "credentials", "identity", "packaging", "registry", "released", "run", "stages", "values",
)  # fmt: skip


def test_importing_the_package_does_not_import_mlflow():
    imports = "; ".join(f"import cnnClassifier.tracking.{name}" for name in MODULES)
    code = f"import sys; {imports}; print({{'mlflow', 'dagshub', 'tensorflow'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_relative_file_is_in_the_project_and_its_artifacts_beside_it(tracking, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert connect(tracking) == Connection(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlruns")


@pytest.mark.parametrize("copy", ["standalone/tmpabc", "tmpxyz"])
def test_a_dvc_experiment_in_a_copy_logs_to_the_project_itself(tracking, tmp_path, monkeypatch, copy):
    folder = tmp_path / ".dvc" / "tmp" / "exps" / copy
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    assert connect(tracking).uri == f"sqlite:///{tmp_path}/mlflow.db"


def written_into(files: Iterable[Path]) -> bool:
    return any(file.stat().st_size for file in files)


def test_a_database_is_there_whole_or_not_at_all(tmp_path):
    """MLflow refuses for ever what a kill leaves of its tables."""
    new = Connection(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlruns")
    code = f"from cnnClassifier.tracking.connection import Connection\nfrom pathlib import Path\n{new!r}.check()"
    creating = subprocess.Popen([sys.executable, "-c", code.replace("PosixPath", "Path")])
    wait_until(lambda: written_into(tmp_path.glob(".mlflow-*/mlflow.db")), creating, seconds=120, pause=0.05)
    creating.kill()
    assert creating.wait() < 0
    assert not (tmp_path / "mlflow.db").exists()
    assert new.is_unused


def test_a_database_is_made_where_there_are_no_hard_links_too(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")  # as FAT does, and disks in the network

    monkeypatch.setattr(os, "link", refuse)
    made = Connection(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlruns")
    made.check()
    assert not made.is_unused
    assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("name", ["my%20study", "which? ct"])
def test_a_folder_that_mlflow_would_take_for_another_is_told_at_once(tracking, tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with pytest.raises(TrackingError, match="rename the folder"):
        connect(tracking)
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_an_ordinary_folder_is_its_own_project():
    assert project_root(Path("/home/me/exps/work")) == Path("/home/me/exps/work")


def test_the_environment_wins_over_the_configuration(tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example:5000")
    assert connect(tracking) == Connection("http://tracking.example:5000")


def test_an_empty_variable_counts_as_unset(tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert connect(tracking).uri.startswith("sqlite:///")


def test_the_users_own_patience_is_left_alone(tracking, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    connect(tracking)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"


def test_a_server_that_is_down_is_told_in_one_line_and_at_once():
    server = Connection(f"http://me:secret@127.0.0.1:{free_port()}")
    server.client  # noqa: B018 - importing mlflow is not what is timed
    started = time.monotonic()
    with pytest.raises(TrackingError) as caught:
        server.check()
    assert time.monotonic() - started < 3
    assert "does not answer" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_checking_leaves_retries_and_timeout_as_they_were(local):
    local.check()
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "20"


def test_a_web_server_that_is_not_mlflow_is_told(tmp_path):
    site = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(TrackingError, match=r"cannot reach the MLflow server: .*501"):
            Connection(f"http://127.0.0.1:{server.server_port}").check()
        server.shutdown()


def test_an_address_that_mlflow_cannot_use_is_told_with_what_can_be_done():
    with pytest.raises(TrackingError, match=r"mlflow cannot use this kind of address.*install mlflow"):
        Connection("carrier-pigeon://host").check()


def test_a_database_that_is_down_is_told_in_one_line_and_at_once():
    server = Connection(f"postgresql://me:secret@127.0.0.1:{free_port()}/registry")
    import_mlflow()
    started = time.monotonic()
    with pytest.raises(TrackingError, match=r"refused.*; is the database up, and MLFLOW_TRACKING_URI its") as caught:
        server.check()
    assert time.monotonic() - started < 10
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_database_says_to_mlflow_is_told_in_one_line():
    with pytest.raises(
        TrackingError, match=r"mysql\+none://\*\*\*@db/x: cannot .*Can't load plugin.*; is the database"
    ):
        Connection("mysql+none://me:secret@db/x").check()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:5000", r"127\.0\.0\.1:5000: no address .*; is it http://127\.0\.0\.1:5000\?"),
        ("localhost:5000", r"; is it http://localhost:5000\?"),
        ("me:secret@host:5000", r"^\*\*\*@host:5000: no address .*; is it http://\*\*\*@host:5000\?"),
        ("mlflow.db", r"; is it sqlite:///mlflow\.db\?"),
        ("sqlite://mlflow.db", "three slashes, as in sqlite:///mlflow.db"),
        ("http://me:secret@[::1", r"http://\*\*\*@\[::1: not an address; special characters"),
        ("http://me:pa[secret]w@host/x", "must be percent-encoded"),
        ("postgresql://me:p@secret@host/x", "must be percent-encoded"),
        ("postgresql://me:p@x:secret@host/x", "must be percent-encoded"),
        ("https://me:secret@dagshub.com/me/chest", r"URI=https://\*\*\*@dagshub\.com/me/chest\.mlflow$"),
    ],
)
def test_an_address_with_a_slip_is_told_with_what_was_meant(tracking, monkeypatch, address, said):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(TrackingError, match=said) as caught:
        connect(tracking)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["databricks", "databricks://profile", "uc:http://host", "./mlruns", "file:/mlruns"]
)
def test_other_addresses_that_mlflow_knows_are_left_to_it(tracking, monkeypatch, address):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert connect(tracking) == Connection(address)


def test_a_database_that_accepts_and_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(connection, "CHECK_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql+psycopg://me:secret@127.0.0.1:{silent.getsockname()[1]}/x"
        began = time.monotonic()
        with pytest.raises(TrackingError, match="cannot reach the MLflow server"):
            Connection(address).check()
    assert time.monotonic() - began < 20


def test_a_file_that_is_no_database_is_told_at_once(tmp_path):
    database = tmp_path / "mlflow.db"
    database.write_text("this is a text " * 100)
    with pytest.raises(TrackingError, match=r"mlflow\.db: cannot be used as MLflow's database"):
        Connection(f"sqlite:///{database}", tmp_path / "mlruns").check()
