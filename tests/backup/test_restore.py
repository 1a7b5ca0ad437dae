"""A registry from a file, on SQLite: nothing lost, nothing overwritten, and repeated after a kill."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from registries import connection_in, count, served, store_in

from cnnClassifier.backup import command
from cnnClassifier.backup.command import backup, restore
from cnnClassifier.backup.stores import Store
from cnnClassifier.errors import DataError, TrackingError
from registry_content import NAME, content
from small_disk import room_for


def test_a_restored_registry_is_the_same_and_its_champion_answers_the_same(laptop, saved, tmp_path, monkeypatch):
    before = content(connection_in(laptop).client)
    assert {run["facts"][4] for run in before["runs"].values()} == {"active", "deleted"}
    said = restore(saved, store_in(tmp_path))
    assert "3 runs, 1 registered models, 2 model versions" in said
    assert content(connection_in(tmp_path).client) == before
    there, here = served(laptop, monkeypatch), served(tmp_path, monkeypatch)
    assert here == there
    assert here[0] == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".cache", "mlflow.db", "mlruns"]


def test_a_restored_registry_names_its_own_folder_and_goes_on_counting(saved, tmp_path):
    connection_in(tmp_path).check()  # MLflow's tables are there, unused
    restore(saved, store_in(tmp_path))
    client = connection_in(tmp_path).client
    (experiment,) = (each for each in client.search_experiments() if each.name == NAME)
    assert experiment.artifact_location == f"{tmp_path}/mlruns/{NAME}"
    run = client.create_run(experiment.experiment_id).info
    assert int(client.create_model_version(NAME, run.artifact_uri, run.run_id).version) == 3


def test_a_backup_whose_count_has_deleted_versions_too_is_restored(saved, tmp_path):
    """As they were made before deleted ones were left out; onto tables that are there, which rows are copied to."""
    restore(saved, store_in(tmp_path / "one"))
    connection_in(tmp_path / "one").client.delete_model_version(NAME, "2")
    backup(store_in(tmp_path / "one"), tmp_path / "new.tar")
    with tarfile.open(tmp_path / "new.tar") as tar:
        tar.extractall(tmp_path / "older", filter="data")
    about = json.loads((tmp_path / "older/backup.json").read_text())
    about["rows"]["model_versions"] = 2
    (tmp_path / "older/backup.json").write_text(json.dumps(about))
    with tarfile.open(tmp_path / "older.tar", "w") as tar:
        for name in ("registry.db", "artifacts", "backup.json"):
            tar.add(tmp_path / "older" / name, name)
    connection_in(tmp_path / "two").check()
    assert "1 model versions" in restore(tmp_path / "older.tar", store_in(tmp_path / "two"))
    assert count(tmp_path / "two/mlflow.db", "model_versions") == 2


def test_nothing_is_overwritten(laptop, saved, tmp_path):
    before = (laptop / "mlflow.db").read_bytes()
    with pytest.raises(TrackingError, match="has 3 runs, 1 registered models, 2 model versions, 1 experiments already"):
        restore(saved, store_in(laptop))
    assert (laptop / "mlflow.db").read_bytes() == before
    with pytest.raises(DataError, match="is there already"):
        backup(store_in(laptop), saved)


def add_a_trace(client: MlflowClient) -> None:
    """As MLflow writes it: its own way to the database is chosen once in a process, by whichever test was first."""
    row = "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status) VALUES ('tr-1', 0, 1, 'OK')"
    with closing(sqlite3.connect(client.tracking_uri.removeprefix("sqlite:///"))) as base, base:
        base.execute(row)


@pytest.mark.parametrize(
    ("add", "there"),
    [
        (lambda client: client.create_experiment("prepared", tags={"owner": "jane"}), "1 experiments"),
        (add_a_trace, "1 traces"),
        (lambda client: client.create_logged_model("0", name="network"), "1 logged models"),
        (lambda client: client.set_experiment_tag("0", "owner", "jane"), "1 experiment tags"),
    ],
)
def test_a_database_without_runs_and_models_that_has_something_else_is_not_emptied(saved, tmp_path, add, there):
    connection = connection_in(tmp_path)
    connection.check()
    add(connection.client)
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(TrackingError, match=f"mlflow.db has {there} already"):
        restore(saved, Store(connection.uri, str(tmp_path / "artifacts"), served=True))
    assert (tmp_path / "mlflow.db").read_bytes() == before
    assert not (tmp_path / "artifacts").exists()


def test_a_killed_restore_leaves_an_unused_registry_and_can_be_repeated(saved, laptop, tmp_path, monkeypatch):
    def killed(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:  # after the artifacts, before the tables
        command.tables.fill = killed
        restore(saved, store_in(tmp_path))
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert any((tmp_path / "mlruns").rglob("model.onnx"))
    restore(saved, store_in(tmp_path))
    assert content(connection_in(tmp_path).client) == content(connection_in(laptop).client)


def test_a_restore_that_failed_at_the_tables_can_be_repeated_with_its_log(laptop, tmp_path):
    log, file, new = tmp_path / "log.db", tmp_path / "both.tar", tmp_path / "new"
    with closing(sqlite3.connect(log)) as base:
        base.execute("CREATE TABLE predictions (time REAL, label TEXT)")
    backup(store_in(laptop), file, log)
    newer = tmp_path / "newer.tar"
    with tarfile.open(file) as tar:
        tar.extractall(tmp_path / "newer", filter="data")
    with closing(sqlite3.connect(tmp_path / "newer/registry.db")) as tables:
        tables.execute("UPDATE alembic_version SET version_num = 'of years to come'")
        tables.commit()
    with tarfile.open(newer, "w") as tar:
        for name in ("registry.db", "artifacts", "predictions.db", "backup.json"):
            tar.add(tmp_path / "newer" / name, name)
    with pytest.raises(TrackingError, match=r"of a newer MLflow .*install the version"):
        restore(newer, store_in(new), new / "log.db")
    restore(file, store_in(new), new / "log.db")
    assert content(connection_in(new).client) == content(connection_in(laptop).client)
    assert (new / "log.db").is_file()


@pytest.mark.parametrize("members", [0, 1, -1])
def test_a_backup_that_was_cut_off_is_refused(saved, tmp_path, members):
    with tarfile.open(saved) as tar:
        end = tar.getmembers()[members].offset  # tar itself does not notice a cut between two members
    half = tmp_path / "half.tar"
    half.write_bytes(saved.read_bytes()[:end])
    with pytest.raises(DataError, match="not a whole backup"):
        restore(half, store_in(tmp_path / "project"))
    assert not (tmp_path / "project/mlflow.db").exists()


def test_a_disk_that_is_full_is_not_called_a_broken_backup(saved, tmp_path):
    with room_for(100_000), pytest.raises(OSError, match="too large") as raised:
        restore(saved, store_in(tmp_path / "project"))
    assert raised.value.filename == str(tmp_path / "project")
    assert not any((tmp_path / "project").iterdir())
    restore(saved, store_in(tmp_path / "project"))


def test_the_prediction_log_travels_too(laptop, saved, tmp_path):
    log = tmp_path / "ward#7 100%25?.db"
    with closing(sqlite3.connect(log)) as base:
        base.execute("CREATE TABLE predictions (time REAL, label TEXT)")
        base.execute("INSERT INTO predictions VALUES (1.5, 'normal')")
        base.commit()
    file = tmp_path / "both.tar"
    backup(store_in(laptop), file, log)
    new = tmp_path / "new"
    with pytest.raises(DataError, match="--log where it goes"):
        restore(file, store_in(new))
    with closing(sqlite3.connect(log)) as base:
        base.execute("INSERT INTO predictions VALUES (2.5, 'normal')")
        base.commit()
    with pytest.raises(DataError, match="overwrites nothing"):
        restore(file, store_in(new), log)
    with pytest.raises(DataError, match="holds no prediction log"):
        restore(saved, store_in(new), new / "log.db")
    restore(file, store_in(new), new / "logs/log.db")
    with closing(sqlite3.connect(new / "logs/log.db")) as base:
        assert base.execute("SELECT * FROM predictions").fetchall() == [(1.5, "normal")]


def crashed_log(log: Path) -> None:
    """A log of SQLite's whose writer was killed: its last rows are in its `-wal` alone."""
    writing = (
        "import os, sqlite3, sys\n"
        "base = sqlite3.connect(sys.argv[1])\n"
        "base.execute('PRAGMA journal_mode=WAL')\n"
        "base.execute('CREATE TABLE predictions (time REAL, label TEXT)')\n"
        "base.execute(\"INSERT INTO predictions VALUES (9.5, 'another ward')\")\n"
        "base.commit()\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", writing, log], check=True)


def test_a_log_is_not_restored_beside_what_another_log_has_left(laptop, tmp_path):
    """SQLite would write a `-wal` that lies there into the restored log."""
    log, file, new = tmp_path / "log.db", tmp_path / "both.tar", tmp_path / "new"
    with closing(sqlite3.connect(log)) as base, base:
        base.execute("CREATE TABLE predictions (time REAL, label TEXT)")
        base.execute("INSERT INTO predictions VALUES (1.5, 'normal')")
    backup(store_in(laptop), file, log)
    new.mkdir()
    crashed_log(new / "log.db")
    (new / "log.db").unlink()
    with pytest.raises(DataError, match=r"log\.db is not there, but beside it is log\.db-wal, log\.db-shm, .* move it"):
        restore(file, store_in(new), new / "log.db")
    assert sorted(path.name for path in new.iterdir()) == ["log.db-shm", "log.db-wal"]
    for path in new.iterdir():
        path.rename(tmp_path / path.name.replace("log.db", "other.db"))
    restore(file, store_in(new), new / "log.db")
    assert count(new / "log.db", "predictions WHERE time = 1.5") == count(new / "log.db", "predictions") == 1


def test_a_registry_is_not_restored_or_made_beside_what_another_has_left(saved, tmp_path):
    journal = tmp_path / "mlflow.db-journal"
    journal.write_bytes(b"of a transaction that was killed")
    said = r"mlflow\.db is not there, but beside it is mlflow\.db-journal, .* move it to where that database is"
    with pytest.raises(TrackingError, match=said):
        restore(saved, store_in(tmp_path))
    with pytest.raises(TrackingError, match=said):
        connection_in(tmp_path).check()
    assert list(tmp_path.iterdir()) == [journal]
