"""Images in an S3 bucket: listed and read from where they lie (moto's server on loopback stands for the store)."""

from collections.abc import Iterator

import boto3
import pytest
from answers import rows_of

from cnnClassifier.errors import DataError
from cnnClassifier.inference import Classifier
from cnnClassifier.scoring.addresses import fetch
from cnnClassifier.scoring.run import Wish, score_images
from s3_server import s3_server
from tiny_release import picture

BUCKET = "scans"


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    """A bucket of two pictures and a text below `a b/`, and of what is passed over; how its store is reached."""
    with s3_server() as place:
        with pytest.MonkeyPatch.context() as patch:
            _set(patch, place)
            client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        contents = {"a b/1.png": picture(1), "a b/deep/2 %20.png": picture(2), "a b/notes.txt": b"no picture"}
        contents |= {"a b/": b"", "a b/.hidden/3.png": picture(3), "elsewhere/4.png": picture(4)}
        for key, data in contents.items():
            client.put_object(Bucket=BUCKET, Key=key, Body=data)
        yield place


@pytest.fixture
def bucket(store: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The bucket's address, with what leads there in the environment."""
    _set(monkeypatch, store)
    return f"s3://{BUCKET}"


def _set(patch: pytest.MonkeyPatch, place: dict[str, str]) -> None:
    for name, value in place.items():
        patch.setenv(name, value)


def test_a_prefix_is_scored_where_it_lies(here, bucket, package, tmp_path):
    assert score_images(f"{bucket}/a b/", tmp_path / "out", Wish(package=package)) == 1
    rows = {row["path"].removeprefix(f"{bucket}/"): row for row in rows_of(tmp_path / "out")}
    assert list(rows) == ["a b/1.png", "a b/deep/2 %20.png", "a b/notes.txt"]
    assert rows["a b/1.png"]["label"] == Classifier.load(package, "tiny", "1").classify(picture(1)).label


def test_a_manifest_may_name_images_in_a_store(here, bucket, package, tmp_path):
    (tmp_path / "list.csv").write_text(f"path\n{bucket}/elsewhere/4.png\n{bucket}/gone.png\n")
    score_images(str(tmp_path / "list.csv"), tmp_path / "out", Wish(package=package))
    gone, found = rows_of(tmp_path / "out")[::-1]
    assert (found["state"], gone["state"]) == ("answer", "error")
    assert gone["reason"].startswith("cannot be read")


def test_a_file_address_is_a_path(here, package, tmp_path):
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b/1.png").write_bytes(picture(1))
    score_images(f"file://{tmp_path}/a%20b", tmp_path / "out", Wish(package=package))
    assert [row["path"] for row in rows_of(tmp_path / "out")] == [str(tmp_path / "a b/1.png")]


def test_what_is_not_in_the_store_is_said(bucket):
    with pytest.raises(DataError, match="cannot be read"):
        fetch(f"{bucket}/nothing.png")
