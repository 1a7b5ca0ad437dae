"""What score takes its images from: folders, links, manifests and addresses, and those that are none."""

import csv
import os
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from answers import many_pictures, rows_of

from cnnClassifier.errors import DataError
from cnnClassifier.scoring.run import Wish, score_images
from tiny_release import picture


def test_links_into_a_data_store_are_followed_and_a_broken_one_is_an_error_row(here, package, tmp_path):
    store = many_pictures(tmp_path / "store", 1)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/scan.png").symlink_to(store / "000/00000.png")
    (tmp_path / "linked/gone.png").symlink_to(store / "gone.png")
    (tmp_path / "linked/folder").symlink_to(store)
    assert score_images(str(tmp_path / "linked"), tmp_path / "out", Wish(package=package)) == 1
    states = {row["path"].removeprefix(f"{tmp_path}/linked/"): row["state"] for row in rows_of(tmp_path / "out")}
    assert states.pop("gone.png") == "error"
    assert states.keys() == {"scan.png", "folder/000/00000.png"}
    assert "error" not in states.values()


def test_a_manifest_names_images_below_itself_or_elsewhere_and_twice_is_once(here, package, tmp_path):
    images = many_pictures(tmp_path / "images", 3)
    table = tmp_path / "images/list.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["path", "age"],
                ["000/00000.png", "61"],
                ["000/00000.png", "61"],
                ["gone.png", "7"],
                [images / "000/00001.png", 5],
            ]
        )
    assert score_images(str(table), tmp_path / "out", Wish(package=package)) == 1
    rows = {row["path"].removeprefix(f"{images}/"): row["reason"] for row in rows_of(tmp_path / "out")}
    assert rows == {"000/00000.png": None, "gone.png": "no such file", "000/00001.png": None}
    pq.write_table(pa.table({"path": ["00002.png"]}), tmp_path / "list.parquet")
    wish = Wish(package=package, images=str(images / "000"))
    assert score_images(str(tmp_path / "list.parquet"), tmp_path / "other", wish) == 0
    assert [row["path"] for row in rows_of(tmp_path / "other")] == [str(images / "000/00002.png")]


def test_a_name_that_is_not_utf8_is_a_row_and_the_others_are_answered(here, package, tmp_path):
    images = many_pictures(tmp_path / "images", 2)
    broken = os.fsencode(images) + b"/sch\xe4del.png"
    Path(os.fsdecode(broken)).write_bytes(picture(1))
    for source in (str(images), os.fsdecode(broken)):
        assert score_images(source, tmp_path / "out", Wish(package=package)) == 1
    rows = {row["path"].removeprefix(f"{images}/"): row["reason"] for row in rows_of(tmp_path / "out")}
    assert rows == {
        "000/00000.png": None, "000/00001.png": None, "sch\\xe4del.png": "its name is not UTF-8; rename it"
    }  # fmt: skip


def test_a_manifest_as_excel_writes_it_is_read(here, package, tmp_path):
    images = many_pictures(tmp_path / "images", 1)
    table = images / "LIST.CSV"
    table.write_text("path,age\r\n000/00000.png,61\r\n", encoding="utf-8-sig", newline="")  # "CSV UTF-8": with a BOM
    assert score_images(str(table), tmp_path / "out", Wish(package=package)) == 0
    assert [row["path"] for row in rows_of(tmp_path / "out")] == [str(images / "000/00000.png")]


def test_the_projects_own_manifest_is_of_the_projects_images(here, package, tmp_path):
    images, manifest = here / "artifacts/data_ingestion/images", here / "artifacts/data_ingestion/manifest.csv"
    many_pictures(images, 2)
    manifest.write_text("id,path\n1,000/00000.png\n2,000/00001.png\n")
    assert score_images("artifacts/data_ingestion/manifest.csv", tmp_path / "out", Wish(package=package)) == 0
    assert len(rows_of(tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere", "no such folder or file"),
        ("foo://bucket/a", "not a store that can be read"),
        ("no_paths.csv", "'path'"),
        ("no_table.csv", "field larger than field limit"),
        ("no_folder", "no_folder: no files in there"),
        ("no_rows.csv", "no_rows.csv: no files in there"),
        ("no_bytes.csv", "no_bytes.csv: not a table with a column 'path': it has no column"),
        ("only_names.csv", "not a table with a column 'path': it has file, age"),
        ("only_names.parquet", "not a table with a column 'path': it has file"),
        ("numbers.parquet", "numbers.parquet, row 1: 'path' is empty or no text; correct it. Received: 7"),
        ("bytes.PARQUET", "bytes.PARQUET, row 1: 'path' is empty or no text; correct it. Received: b'a.png'"),
        ("file://", "names no file or folder"),
        ("file://no_folder", "names no file or folder"),
    ],
)
def test_a_source_that_is_none_is_one_line_and_leaves_nothing_behind(here, package, tmp_path, source, said):
    Path("no_folder").mkdir(exist_ok=True)
    Path("no_paths.csv").write_text("file\na.png\n")
    Path("no_table.csv").write_text("path\n" + 200_000 * "a")
    Path("no_rows.csv").write_text("path,age\n")
    Path("no_bytes.csv").touch()
    Path("only_names.csv").write_text("file,age\n")
    pq.write_table(pa.table({"file": pa.array([], pa.string())}), "only_names.parquet")
    pq.write_table(pa.table({"path": [7]}), "numbers.parquet")
    pq.write_table(pa.table({"path": [b"a.png"]}), "bytes.PARQUET")
    with pytest.raises(DataError, match=said):
        score_images(source, tmp_path / "out", Wish(package=package))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_row_without_a_path_is_named(here, package, tmp_path, kind):
    manifest = tmp_path / f"list.{kind}"
    if kind == "csv":
        manifest.write_text("age,path\n61,a.png\n7\n")
    else:
        pq.write_table(pa.table({"path": ["a.png", "a.png", None]}), manifest)
    with pytest.raises(DataError, match=f"{manifest}, {'line' if kind == 'csv' else 'row'} 3: 'path' is empty"):
        score_images(str(manifest), tmp_path / "out", Wish(package=package))


def test_a_file_address_with_a_whole_path_is_that_path(here, package, tmp_path):
    images = many_pictures(tmp_path / "my images", 2)
    for host in ("", "localhost"):
        assert score_images(f"file://{host}{quote(str(images))}", tmp_path / "out", Wish(package=package)) == 0
    assert len(rows_of(tmp_path / "out")) == 2
