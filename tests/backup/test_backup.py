"""A registry in one file, on SQLite: what is packed, also while others write, and what is refused."""

import shutil
import subprocess
import sys
import tarfile

import pytest
from registries import connection_in, count, served, store_in
from typer.testing import CliRunner

from cnnClassifier.backup.command import backup, restore
from cnnClassifier.backup.stores import Store, choose_store
from cnnClassifier.backup.tables import neutral, placed
from cnnClassifier.cli import app
from cnnClassifier.errors import ConfigError, DataError, TrackingError
from cnnClassifier.tracking.connection import Connection
from imports import ROOT
from registry_content import NAME
from waiting import wait_until


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
        wait_until(lambda: count(busy / "mlflow.db", "runs WHERE name = 'busy'"), writer, seconds=120, pause=0.05)
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
