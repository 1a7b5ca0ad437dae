"""Kaggle through kagglehub: fetched once, pinned, then without any request; no network is one clear line."""

import io
import zipfile

import pytest

from cnnClassifier.config.data import KaggleSource
from cnnClassifier.datasets.sources import download_kaggle
from cnnClassifier.errors import DataError
from kaggle_server import serve_kaggle
from pictures import encode, noise

SOURCE = KaggleSource(kind="kaggle", dataset="someone/some-scans/versions/3", root="Data")


@pytest.fixture(autouse=True)
def _kaggle_on_loopback(monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def archive():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("Data/train/normal/1.png", encode(noise(1)))
    return stream.getvalue()


def refusal(source=SOURCE):
    with pytest.raises(DataError) as caught:
        download_kaggle(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_data_set_is_fetched_at_its_pinned_version_with_a_progress_bar(capfd):
    with serve_kaggle(archive()) as kaggle:
        folder = download_kaggle(SOURCE)
    assert (folder / "train/normal/1.png").read_bytes() == encode(noise(1))
    assert kaggle.requests == [{"ownerSlug": "someone", "datasetSlug": "some-scans", "datasetVersionNumber": 3}]
    assert "100%" in capfd.readouterr().err


def test_a_cached_version_needs_no_network():
    with serve_kaggle(archive()):
        first = download_kaggle(SOURCE)
    assert download_kaggle(SOURCE) == first


def test_without_a_network_one_line_says_what_to_do():
    text = refusal()
    assert text.startswith("kaggle someone/some-scans/versions/3: ")
    assert "set KAGGLEHUB_CACHE to its cache folder, or use source kind `zip`" in text


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_refusal_is_one_line_with_the_status(status):
    with serve_kaggle(b"{}", status):
        assert str(status) in refusal()


@pytest.mark.parametrize("content", [b"<html>Sign in</html>", archive()[:-30], b""], ids=["page", "cut", "nothing"])
def test_a_damaged_download_is_one_line_and_is_not_taken_for_whole(content):
    with serve_kaggle(content):
        assert refusal().startswith("kaggle someone/some-scans/versions/3: ")
    with serve_kaggle(archive()):
        assert (download_kaggle(SOURCE) / "train/normal/1.png").is_file()


def test_a_root_that_is_not_in_it_lists_what_is():
    with serve_kaggle(archive()):
        assert "no folder 'data' in it; `data_ingestion.source.root` may be one of: Data" in refusal(
            SOURCE.model_copy(update={"root": "data"})
        )
