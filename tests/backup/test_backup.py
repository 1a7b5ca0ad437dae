"""The registry in a file and back, on SQLite: nothing lost, nothing overwritten, also while others write."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from cnnClassifier.backup import command
from cnnClassifier.backup.command import backup, restore
from cnnClassifier.backup.stores import Store, choose_store
from cnnClassifier.backup.tables import neutral, placed
from cnnClassifier.cli import app
from cnnClassifier.config.loading import load_project
from cnnClassifier.errors import ConfigError, DataError, TrackingError
from cnnClassifier.files import sqlite_to_read
from cnnClassifier.tracking.connection import Connection
from imports import ROOT
from registry_content import NAME, answers, content, fill_registry
from small_disk import room_for
from tiny_release import picture, write_tiny_package

PICTURES = [picture(number) for number in range(3)]


def connection_in(folder: Path) -> Connection:
    return Connection(f"sqlite:///{folder}/mlflow.db", folder / "mlruns")


def store_in(folder: Path) -> Store:
    return choose_store(connection_in(folder), None, None)


@pytest.fixture(scope="module")
def laptop(tmp_path_factory) -> Path:
    """A project folder with two versions of a model, the first of them champion."""
    folder = tmp_path_factory.mktemp("laptop") / "with space #1"
    folder.mkdir()
    connection_in(folder).check()
    packages = [write_tiny_package(folder / f"package{each}", each / 100) for each in (1, 2)]
    fill_registry(connection_in(folder), packages)
    return folder


@pytest.fixture(scope="module")
def saved(laptop, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("saved") / "registry.tar"
    said = backup(store_in(laptop), file)
    assert said.startswith(f"{file}: 3 runs, 1 registered models, 2 model versions of sqlite:///{laptop}")
    return file


def served(folder: Path, monkeypatch) -> tuple[str, list[dict[str, float]]]:
    monkeypatch.chdir(folder)
    return answers(load_project(ROOT / "config/config.yaml"), NAME, PICTURES)


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


def test_a_backup_of_a_moved_project_whose_tables_name_the_old_folder_is_refused(laptop, tmp_path, caplog):
    moved = shutil.copytree(laptop, tmp_path / "moved")
    with pytest.raises(TrackingError, match="has none of the 2 models, such as "):
        backup(store_in(moved), tmp_path / "moved.tar")
    assert "3 runs have artifacts outside of" in caplog.text
    assert not (tmp_path / "moved.tar").exists()


def test_artifacts_behind_a_link_are_in_the_backup(laptop, tmp_path, monkeypatch):
    """As on a larger disk."""
    (laptop / "mlruns").rename(tmp_path / "larger")
    try:
        (laptop / "mlruns").symlink_to(tmp_path / "larger")
        backup(store_in(laptop), tmp_path / "linked.tar")
    finally:
        (laptop / "mlruns").unlink()
        (tmp_path / "larger").rename(laptop / "mlruns")
    (tmp_path / "new").mkdir()
    restore(tmp_path / "linked.tar", store_in(tmp_path / "new"))
    assert served(tmp_path / "new", monkeypatch) == served(laptop, monkeypatch)


def test_a_link_that_leads_nowhere_is_named(laptop, tmp_path):
    """As to a disk that is not mounted: a backup without what is on it would pass for a whole one."""
    link = laptop / "mlruns" / NAME / "elsewhere"
    link.symlink_to("/nowhere/at all")
    try:
        with pytest.raises(DataError, match=r"tiny/elsewhere: a link to /nowhere/at all, which is not there; .*remove"):
            backup(store_in(laptop), tmp_path / "x.tar")
    finally:
        link.unlink()
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("out", ["mlruns/x.tar", "mlruns/new/x.tar", "link/x.tar"])
def test_a_backup_does_not_pack_itself(laptop, out):
    before = sorted((laptop / "mlruns").rglob("*"))
    (laptop / "link").symlink_to(laptop / "mlruns")
    try:
        with pytest.raises(ConfigError, match=r"lies in .*mlruns, which is only read; name another place"):
            backup(store_in(laptop), laptop / out)
    finally:
        (laptop / "link").unlink()
    assert sorted((laptop / "mlruns").rglob("*")) == before


def test_a_backup_without_its_models_is_refused(saved, tmp_path):
    """As of a mistyped bucket, which is as good as empty."""
    database = f"sqlite:///{tmp_path}/server.db"
    restore(saved, Store(database, str(tmp_path / "artifacts"), served=True))
    with pytest.raises(TrackingError, match="has none of the 2 models"):
        backup(Store(database, str(tmp_path / "artefacts"), served=True), tmp_path / "x.tar")
    assert not (tmp_path / "x.tar").exists()


def test_a_version_that_was_deleted_is_neither_counted_nor_missed(saved, tmp_path):
    """MLflow keeps its row, and names no files in it."""
    restore(saved, store_in(tmp_path / "one"))
    client = connection_in(tmp_path / "one").client
    client.delete_model_version(NAME, "2")
    assert "1 registered models, 1 model versions" in backup(store_in(tmp_path / "one"), tmp_path / "one.tar")
    client.delete_model_version(NAME, "1")
    assert "1 registered models, 0 model versions" in backup(store_in(tmp_path / "one"), tmp_path / "none.tar")
    said = restore(tmp_path / "one.tar", Store(f"sqlite:///{tmp_path}/server.db", str(tmp_path / "a"), served=True))
    assert "1 registered models, 1 model versions" in said
    assert count(tmp_path / "server.db", "model_versions") == 2


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


def test_a_backup_while_others_write_is_of_one_moment(saved, tmp_path):
    """A writer adds a run and a tag in one transaction again and again; a copy never has one without the other."""
    busy = tmp_path / "busy"
    busy.mkdir()
    restore(saved, store_in(busy))
    writer = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sqlite3, sys, itertools\n"
            "base = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)\n"
            "for number in itertools.count():\n"
            "    base.execute('BEGIN IMMEDIATE')\n"
            "    base.execute('INSERT INTO runs (run_uuid, name) VALUES (?, ?)', (f'r{number}', 'busy'))\n"
            "    base.execute('INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)', ('k', 'v', f'r{number}'))\n"
            "    base.execute('COMMIT')\n",
            busy / "mlflow.db",
        ],
    )  # fmt: skip
    try:
        while not count(busy / "mlflow.db", "runs WHERE name = 'busy'"):
            assert writer.poll() is None
            time.sleep(0.05)
        for number in range(3):
            file = tmp_path / f"{number}.tar"
            backup(store_in(busy), file)
            with tarfile.open(file) as tar:
                tar.extract("registry.db", tmp_path, filter="data")
            copy = tmp_path / "registry.db"
            assert count(copy, "runs WHERE name = 'busy'") == count(copy, "tags WHERE key = 'k'") > 0
    finally:
        assert writer.poll() is None
        writer.kill()
        writer.wait()


def count(file: Path, rows: str) -> int:
    with closing(sqlite3.connect(sqlite_to_read(file), uri=True, timeout=60)) as base:
        return int(base.execute(f"SELECT count(*) FROM {rows}").fetchone()[0])  # noqa: S608


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


@pytest.mark.parametrize("content", [b"", b"no database, but longer than the head of one" * 9])
def test_a_source_that_holds_no_tables_is_no_backup_of_nothing(laptop, tmp_path, content):
    empty = tmp_path / "empty.db"
    empty.write_bytes(content)
    with pytest.raises(DataError, match=r"empty\.db: (a database without tables|not an SQLite file)"):
        backup(Store(f"sqlite:///{empty}", str(tmp_path / "mlruns"), served=False), tmp_path / "x.tar")
    with pytest.raises(DataError, match=r"empty\.db: (a database without tables|not an SQLite file)"):
        backup(store_in(laptop), tmp_path / "x.tar", empty)
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize("name", ["which?", "100%25"])
def test_a_folder_whose_name_mlflow_reads_as_another_is_refused(laptop, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(TrackingError, match="rename the folder"):
        backup(store_in(laptop), tmp_path / name / "x.tar")
    with pytest.raises(TrackingError, match="rename the folder"):
        choose_store(connection_in(tmp_path), f"sqlite:///{tmp_path / name}/server.db", str(tmp_path / "artifacts"))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_as_it_is_typed(laptop, tmp_path, monkeypatch):
    monkeypatch.chdir(laptop)
    shutil.copytree(ROOT / "config", laptop / "config", dirs_exist_ok=True)
    done = CliRunner().invoke(app, ["backup", "--out", str(tmp_path / "typed.tar")])
    assert done.exit_code == 0, done.output
    assert "2 model versions" in done.output
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    done = CliRunner().invoke(app, ["restore", "typed.tar"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("database", "artifacts", "said"),
    [
        ("mysql://u:secret@host/db", "s3://bucket", "sqlite and postgresql"),
        ("postgresql://u:secret@host/db", None, "--artifacts"),
        (None, None, "where it runs"),
    ],
)
def test_what_cannot_be_copied_is_told_without_its_password(database, artifacts, said):
    with pytest.raises(ConfigError, match=said) as error:
        choose_store(Connection("https://u:secret@mlflow.example.org"), database, artifacts)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "root", "expected"),
    [
        ("/home/a b/mlruns/ct/1/artifacts", "/home/a b/mlruns", "mlflow-artifacts:/ct/1/artifacts"),
        ("file:///home/a%20b/mlruns/ct/1", "/home/a b/mlruns", "mlflow-artifacts:/ct/1"),
        ("s3://bucket/mlflow/1/x", "s3://bucket/mlflow/", "mlflow-artifacts:/1/x"),
        ("/home/a b/mlruns2/ct", "/home/a b/mlruns", "/home/a b/mlruns2/ct"),
        ("models:/m-123", "/home/a b/mlruns", "models:/m-123"),
    ],
)
def test_addresses_that_do_not_depend_on_where_artifacts_lie(address, root, expected):
    assert neutral(address, root) == expected
    if expected != address and "file:" not in address:
        assert placed(expected, root) == address
