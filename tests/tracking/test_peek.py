"""Asked without mlflow, a registry says what it says to mlflow; and it is fetched from in a process of its own."""

import os
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from finished_project import NAME

from cnnClassifier.backup.stores import choose_store
from cnnClassifier.errors import TrackingError
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.connection import Connection, connect
from cnnClassifier.tracking.fetch import Order, fetch
from cnnClassifier.tracking.peek import PeekError, at_hand, peek
from cnnClassifier.tracking.run import open_run
from mlflow_servers import free_port


def test_every_kind_of_registry_is_read_as_mlflow_reads_it(place, settings, paths, model_folder, tmp_path):
    name = f"{NAME}_peeked"
    assert peek(place, name, "champion") is None  # no such model
    run = open_run(place, settings, paths.cache)
    version = registry.register(run, model_folder, name, "Four classes of chest CT.", {})
    assert peek(place, name, "champion") is None  # the model is there, the alias not
    assert peek(place, name, "challenger") == registry.RegisteredModel(name, version, run.run_id, {})
    registry.set_alias(place, name, version, "champion")
    assert peek(place, name, "champion").version == version
    run.finish()


def test_a_local_registry_s_package_is_at_hand_and_nothing_is_fetched(local, settings, paths, model_folder, tmp_path):
    registry.register(open_run(local, settings, paths.cache), model_folder, NAME, "x", {})
    found = peek(local, NAME, "challenger")
    folder = at_hand(local, found, tmp_path / "served")
    assert folder.is_relative_to(local.artifact_root)
    fetched = registry.download(local, NAME, "challenger", tmp_path / "served").folder
    assert {file.name: file.read_bytes() for file in fetched.iterdir()} == {
        file.name: file.read_bytes() for file in folder.iterdir()
    }
    assert at_hand(local, found, tmp_path / "served") == fetched


def test_before_there_is_a_database_nothing_is_registered_and_none_is_made(tmp_path):
    server = Connection(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlruns")
    assert peek(server, NAME, "champion") is None
    assert not list(tmp_path.iterdir())


def test_a_local_address_with_a_setting_behind_it_is_the_same_file(
    local, tracking, settings, paths, model_folder, tmp_path
):
    version = registry.register(open_run(local, settings, paths.cache), model_folder, NAME, "x", {})
    os.environ["MLFLOW_TRACKING_URI"] = f"{local.uri}?timeout=30"
    same = connect(tracking)
    assert not same.is_unused
    assert peek(same, NAME, "challenger").version == version
    same.check()
    assert choose_store(same, None, None).file == tmp_path / "mlflow.db"
    assert not list(tmp_path.glob("*[?]*"))


def test_tables_that_are_not_known_are_left_to_mlflow(tmp_path):
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE another_program (id)")
    with pytest.raises(PeekError, match=r"mlflow\.db: not a database with MLflow's tables: no such table"):
        peek(Connection(f"sqlite:///{file}", tmp_path), NAME, "champion")


def test_another_kind_of_address_is_left_to_mlflow():
    with pytest.raises(PeekError, match="neither a local SQLite file nor"):
        peek(Connection("postgresql://someone:secret@db/mlflow"), NAME, "champion")


def test_a_server_that_is_not_there_is_no_answer_and_no_password_is_shown():
    with pytest.raises(TrackingError, match="does not answer") as trouble:
        peek(Connection(f"http://admin:secret@127.0.0.1:{free_port()}"), NAME, "champion")
    assert not isinstance(trouble.value, PeekError)
    assert "secret" not in str(trouble.value)


def test_what_goes_wrong_in_the_other_process_is_raised_in_this_one(tmp_path, tracking):
    (tmp_path / "mlflow.db").write_text("no database")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(TrackingError, match=r"mlflow\.db"):
        fetch(Order(tracking, (NAME,), "champion", tmp_path / "served", tmp_path))


def test_a_password_in_the_address_is_in_no_command_line(tmp_path, tracking):
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        address = f"http://jane:hunter2@127.0.0.1:{server.getsockname()[1]}"
        asked = tracking.model_copy(update={"uri": address, "timeout_seconds": 5, "retries": 0})
        fetching = pool.submit(fetch, Order(asked, (NAME,), "champion", tmp_path / "served", tmp_path))
        server.settimeout(60)
        connection, _ = server.accept()  # the other process is at it
        with connection:
            lines = list(command_lines())
        with pytest.raises(TrackingError):
            fetching.result()
    assert any(b"cnnClassifier.tracking.fetch" in line for line in lines)
    assert not any(b"hunter2" in line for line in lines)


def command_lines() -> Iterator[bytes]:
    """Of every process, as any user sees them."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            yield file.read_bytes()
