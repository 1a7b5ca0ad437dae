"""score: every image one row, once, however often it is killed or begun again."""

import subprocess
import sys
import zipfile
from itertools import count, islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from answers import many_pictures, parts_of, rows_of

from cnnClassifier.cli import app
from cnnClassifier.errors import ConfigError, DataError
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import digest_package
from cnnClassifier.scoring.answering import Pace, answer_parts
from cnnClassifier.scoring.folder import PLACE, Asked, open_folder
from cnnClassifier.scoring.plan import Part, Plan
from cnnClassifier.scoring.run import Wish, score_images
from hostile import dicom_files as dicom
from tiny_release import CLASSES, picture, write_tiny_package
from waiting import wait_until

SECONDS = 120


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a good picture, a DICOM file two folders down, an archive, text, and an empty file."""
    folder = tmp_path / "files"
    (folder / "deep/deeper").mkdir(parents=True)
    (folder / "a.png").write_bytes(picture(1))
    (folder / "deep/deeper/scan.dcm").write_bytes(dicom.write(dicom.ct(), dicom.EXPLICIT))
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("in.png", picture(2))
        archive.writestr("notes.txt", "no picture")
    (folder / "broken.zip").write_bytes((folder / "more.zip").read_bytes()[:60])
    (folder / "notes.txt").write_text("no picture\n")
    (folder / "nothing.png").touch()
    return folder


def test_the_command_gives_every_file_a_row_and_says_which_could_not_be_read(project, package, files, tmp_path):
    out = tmp_path / "out"
    command = ["score", str(files), "--out", str(out), "--package", str(package), "--part", "2", "--threads", "1"]
    done = project.main(*command, check=False)
    assert done.returncode == 1, done.stderr
    assert "3 answer, 4 error" in done.stderr
    rows = {row["path"].removeprefix(f"{files}/"): row for row in rows_of(out)}
    broken = {name: row["reason"] for name, row in rows.items() if row["state"] == "error"}
    assert {"a.png", "deep/deeper/scan.dcm", "more.zip/in.png"} == set(rows) - set(broken)
    assert broken.keys() == {"broken.zip", "more.zip/notes.txt", "notes.txt", "nothing.png"}
    assert broken["notes.txt"].startswith("not an image in a format this reads")
    assert broken["nothing.png"] == "the file is empty"
    assert broken["broken.zip"].startswith("not a .zip archive")
    assert {row["model"] for row in rows.values()} == {"tiny"}
    assert {row["version"] for row in rows.values()} == {digest_package(package)}


def test_an_answer_is_the_classifiers(here, package, files, tmp_path):
    score_images(str(files), tmp_path / "out", Wish(package=package))
    found = Classifier.load(package, "tiny", "1").classify(picture(1))
    row = next(row for row in rows_of(tmp_path / "out") if row["path"] == str(files / "a.png"))
    assert (row["state"], row["label"], row["prediction_set"]) == ("answer", found.label, list(found.prediction_set))
    assert [row[f"probability_{name}"] for name in CLASSES] == pytest.approx(list(found.probabilities.values()))
    assert row["confidence"] == pytest.approx(found.confidence)


def test_killed_it_goes_on_and_answers_each_image_once(project, here, package, tmp_path):
    images, out = many_pictures(tmp_path / "images", 3000), tmp_path / "out"
    command = [sys.executable, "main.py", "score", str(images), "--out", str(out), "--package", str(package)]
    process = subprocess.Popen([*command, "--part", "10"], cwd=project.root, env=project.environment)
    wait_until(lambda: len(parts_of(out)) >= 3, process, seconds=SECONDS, pause=0.005)
    process.kill()
    process.wait()
    before = parts_of(out)
    assert 3 <= len(before) < 300
    # What a kill while a part is written leaves: half of it under the other name.
    missing = next(name for number in count() if (name := f"part-{number:06}.parquet") not in before)
    (out / PLACE / missing).write_bytes(b"PAR1 half")
    assert len(pq.read_table(out)) == 10 * len(before)
    assert score_images(str(images), out, Wish(package=package)) == 0
    assert [row["path"] for row in rows_of(out)] == sorted(map(str, images.rglob("*.png")))
    after = parts_of(out)
    assert len(after) == 300
    assert before.items() <= after.items()
    score_images(str(images), tmp_path / "whole", Wish(package=package))
    assert rows_of(out) == rows_of(tmp_path / "whole")


def test_a_part_that_was_removed_is_answered_again_and_images_that_came_later_too(here, package, tmp_path):
    images, out = many_pictures(tmp_path / "images", 30), tmp_path / "out"
    score_images(str(images), out, Wish(package=package, part=10))
    before = parts_of(out)
    (out / "part-000001.parquet").unlink()
    (images / "later.png").write_bytes(picture(1))
    score_images(str(images), out, Wish(package=package, part=10))
    after = parts_of(out)
    assert after.keys() - before.keys() == {"part-000003.parquet"}
    assert {name for name in before if before[name] == after[name]} == {"part-000000.parquet", "part-000002.parquet"}
    assert [row["path"] for row in rows_of(out)] == sorted(map(str, images.rglob("*.png")))


def test_another_version_in_the_same_folder_is_an_error_that_says_so(here, package, tmp_path):
    images = many_pictures(tmp_path / "images", 3)
    score_images(str(images), tmp_path / "out", Wish(package=package))
    other = write_tiny_package(tmp_path / "tiny", largest=0.02)
    before, now = digest_package(package), digest_package(other)
    with pytest.raises(ConfigError, match=f"holds answers of tiny version {before}.*{now}.* asked"):
        score_images(str(images), tmp_path / "out", Wish(package=other))


def test_a_run_that_ended_before_its_first_answer_leaves_the_choice_of_the_model(here, package, tmp_path):
    images, manifest = many_pictures(tmp_path / "images", 1), tmp_path / "images/list.csv"
    manifest.write_text('path\n000/00000.png\n""\n')
    with pytest.raises(DataError, match="line 3"):
        score_images(str(manifest), tmp_path / "out", Wish(package=package))
    other = write_tiny_package(tmp_path / "tiny", largest=0.02)
    assert score_images(str(images / "000"), tmp_path / "out", Wish(package=other)) == 0


def test_answers_do_not_go_among_the_images_where_the_next_run_would_find_them(here, package, tmp_path):
    images = many_pictures(tmp_path / "images", 2)
    for source in (str(images), f"file://{images}"):
        with pytest.raises(ConfigError, match="which is only read"):
            score_images(source, images / "deep/answers", Wish(package=package))
    assert not (images / "deep").exists()


def test_two_at_once_and_folders_of_other_things_are_refused(tmp_path):
    asked = Asked("tiny", "1", "abc")
    with (
        open_folder(tmp_path / "out", asked),
        pytest.raises(ConfigError, match="another process"),
        open_folder(tmp_path / "out", asked),
    ):
        pass
    pq.write_table(pa.table({"a": [1]}), tmp_path / "mine.parquet")
    with pytest.raises(DataError, match="no answers of `score`"), open_folder(tmp_path, asked):
        pass


def test_files_of_others_among_the_parts_are_passed_over(here, package, tmp_path):
    images, out = many_pictures(tmp_path / "images", 2), tmp_path / "out"
    score_images(str(images), out, Wish(package=package))
    for name in ("part-00000-spark.parquet", "part-mine.parquet"):
        (out / name).write_bytes(b"no answers of score")
    assert score_images(str(images), out, Wish(package=package)) == 0


@pytest.mark.parametrize("size", [0, 60])
def test_a_damaged_part_is_named_and_answered_again_once_it_is_deleted(here, package, tmp_path, size):
    images, out = many_pictures(tmp_path / "images", 2), tmp_path / "out"
    score_images(str(images), out, Wish(package=package))
    part, before = out / "part-000000.parquet", rows_of(out)
    part.write_bytes(part.read_bytes()[:size])
    with pytest.raises(DataError, match=f"{part}: no whole part .*delete it to have it answered again"):
        score_images(str(images), out, Wish(package=package))
    part.unlink()
    score_images(str(images), out, Wish(package=package))
    assert rows_of(out) == before


@pytest.mark.parametrize(
    ("options", "said"), [(["--workers", "4"], "--workers has no effect without --ray"), (["--ray", ""], "--ray")]
)
def test_options_of_a_cluster_without_one_are_refused(tmp_path, options, said):
    with pytest.raises(ConfigError, match=said):
        app(["score", str(tmp_path), "--out", str(tmp_path / "out"), *options], standalone_mode=False)


def test_no_more_is_read_ahead_than_the_pace_says(package, tmp_path):
    image = tmp_path / "a.png"
    image.write_bytes(picture(1))
    begun = []

    def endless():
        for number in count():
            begun.append(number)
            yield Part(number, (str(image),) * 10)

    pace = Pace(batch=4, readers=2, most_pixels=10_000)
    answered = list(islice(answer_parts(Classifier.load(package, "tiny", "1", 1), endless(), pace), 5))
    assert [part.rows for part in answered] == [10] * 5
    assert len(begun) <= 5 + 1 + 2 * pace.ahead // 10


def test_a_listing_that_fails_half_way_lists_nothing(tmp_path):
    plan = Plan(tmp_path / "plan.sqlite")

    def failing():
        yield "a"
        raise DataError("the store is gone")

    with pytest.raises(DataError):
        plan.extend(failing(), 10)
    assert plan.count() == 0
    assert plan.extend("abc", 2) == 3
    assert plan.extend("abcd", 2) == 1
    assert list(plan.parts(frozenset({0}))) == [Part(1, ("c",)), Part(2, ("d",))]


def test_it_works_in_a_folder_without_a_project(files, package, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    score_images(str(files / "a.png"), tmp_path / "out", Wish(package=package))
    assert [row["state"] for row in rows_of(tmp_path / "out")] == ["answer"]
