"""A source that somebody brings is known again by its files: a change is noticed before anything is trained."""

import logging
import os
import shutil
from pathlib import Path

import pytest

from cnnClassifier import reproducing
from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.datasets.fingerprint import absent_part, fingerprint
from cnnClassifier.errors import DataError
from cnnClassifier.reproducing import ingest_what_changed
from environment import clean_environment
from ingestion import OWN_SPLITS, configure, paths_below
from pictures import CLASSES, write_picture, write_tree
from project import copy_project


@pytest.fixture
def config(tmp_path):
    write_tree(tmp_path / "data")
    return configure({"kind": "folder", "path": tmp_path / "data"}, splits=OWN_SPLITS, exclude=["notes"])


def test_it_changes_with_what_is_there_and_with_nothing_else(config, tmp_path):
    seen = [fingerprint(config)]
    (tmp_path / "data/notes").mkdir()
    (tmp_path / "data/notes/excluded.txt").write_text("x")
    assert fingerprint(config) == seen[0]
    added = write_picture(tmp_path / f"data/train/{CLASSES[0]}/another.png", seed=99)
    seen.append(fingerprint(config))
    added.rename(added.with_name("renamed.png"))
    seen.append(fingerprint(config))
    os.utime(added.with_name("renamed.png"), ns=(1, 1))  # written again, as long as before
    seen.append(fingerprint(config))
    added.with_name("renamed.png").unlink()
    assert fingerprint(config) == seen[0]
    assert len(set(seen)) == 4


def test_an_archive_is_looked_at_too(config, tmp_path):
    archive = Path(shutil.make_archive(str(tmp_path / "data"), "zip", tmp_path / "data"))
    of_zip = configure({"kind": "zip", "path": archive}, splits=OWN_SPLITS)
    before = fingerprint(of_zip)
    assert before is not None
    os.utime(archive, ns=(1, 1))
    assert fingerprint(of_zip) != before


def test_of_a_table_those_files_are_looked_at_that_it_names(tmp_path):
    """Not all that lies below its root, which may be a whole archive of scans, or the project's folder."""
    first = write_picture(tmp_path / "scans/first.png", seed=1)
    (tmp_path / "table.csv").write_text(f"file,label\nfirst.png,{CLASSES[0]}\nlater.png,{CLASSES[1]}\n")
    table = {"kind": "csv", "table": tmp_path / "table.csv", "root": tmp_path / "scans"}
    config = configure(table, random_split={"valid": 0.25, "test": 0.25})
    seen = [fingerprint(config)]
    write_picture(tmp_path / "scans/not in the table.png", seed=2)
    (tmp_path / "scans/link").symlink_to("/")
    assert fingerprint(config) == seen[0] is not None
    write_picture(tmp_path / "scans/later.png", seed=3)
    seen.append(fingerprint(config))
    os.utime(first, ns=(1, 1))
    seen.append(fingerprint(config))
    with (tmp_path / "table.csv").open("a") as file:
        file.write("\n")
    seen.append(fingerprint(config))
    assert len(set(seen)) == 4


def test_a_broken_link_hides_no_change(config, tmp_path):
    link = tmp_path / f"data/train/{CLASSES[0]}/broken.png"
    link.symlink_to(link.with_name("gone.png"))
    before = fingerprint(config)
    assert before is not None
    link.with_name("gone.png").write_bytes(b"")
    assert fingerprint(config) not in (before, None)


@pytest.mark.parametrize(
    "source",
    [{"kind": "phantom"}, {"kind": "kaggle", "dataset": "a/b/versions/1"}, {"kind": "folder", "path": "/nowhere"}],
)
def test_of_a_source_that_cannot_change_or_is_not_here_nothing_is_said(source):
    assert fingerprint(configure(source)) is None


def test_a_folder_that_is_empty_is_as_one_that_is_not_here(config, tmp_path):
    for picture in (tmp_path / "data").rglob("*.png"):
        picture.unlink()
    (tmp_path / "data/.gitkeep").touch()
    assert fingerprint(config) is None
    assert absent_part(config) == tmp_path / "data"


@pytest.fixture
def asked_of_dvc(monkeypatch):
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(reproducing, "_repro", lambda *options: asked.append(options))
    return asked


@pytest.fixture
def of_table(tmp_path):
    write_picture(tmp_path / "scans/first.png", seed=1)
    (tmp_path / "table.csv").write_text(f"file,label\nfirst.png,{CLASSES[0]}\n")
    table = {"kind": "csv", "table": tmp_path / "table.csv", "root": tmp_path / "scans"}
    return configure(table, random_split={"valid": 0.25, "test": 0.25})


@pytest.mark.parametrize(
    ("row", "words"), [("other.png,bening", "belongs to no class"), (f"first.png,{CLASSES[0]}", "stands in line 2 too")]
)
def test_a_table_that_became_faulty_is_told_and_nothing_old_is_used(row, words, of_table, tmp_path, asked_of_dvc):
    with (tmp_path / "table.csv").open("a") as file:
        file.write(f"{row}\n")
    with pytest.raises(DataError, match=rf"table\.csv, line 3: .*{words}"):
        ingest_what_changed(of_table, paths_below(tmp_path))
    assert not asked_of_dvc


@pytest.mark.parametrize("gone", ["table.csv", "scans"])
def test_of_a_source_that_is_gone_a_warning_says_that_what_was_ingested_is_used(
    gone, of_table, tmp_path, asked_of_dvc, caplog
):
    """No error: a clone that pulled the images has no source."""
    (tmp_path / gone).rename(tmp_path / "elsewhere")
    with caplog.at_level(logging.WARNING):
        ingest_what_changed(of_table, paths_below(tmp_path))
    assert f"{tmp_path / gone} is not here, or is empty: what was ingested of it before is used" in caplog.text
    assert not asked_of_dvc


@pytest.mark.pipeline
def test_changed_pictures_are_ingested_again_also_where_dvc_has_them_from_before(tmp_path, monkeypatch):
    """By the same values from a cache of runs, which knows nothing of the folder."""
    project = copy_project(tmp_path / "project", clean_environment())
    scans = project.root / "scans"
    write_tree(scans, classes=("adenocarcinoma", "large_cell_carcinoma", "normal", "squamous_cell_carcinoma"))
    project.set_params(data_ingestion__source={"kind": "folder", "path": "scans"}, data_ingestion__group_pattern=None)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project.root)
    paths = load_project().paths

    def images(seed: int) -> int:
        project.set_params(data_ingestion__seed=seed)
        ingest_what_changed(load_settings().data_ingestion, paths)
        return len(list(paths.images.rglob("*.png")))

    assert images(1) == images(2) == 24
    next(scans.rglob("*.png")).unlink()
    written = paths.source.stat().st_mtime_ns
    assert images(2) == 23
    assert paths.source.stat().st_mtime_ns > written
    assert images(1) == 23
    assert images(1) == 23
