"""Pictures to try: real ones of the model's own test split where they are, else drawn ones, and said to be."""

import io
from pathlib import Path

import pytest
from PIL import Image
from tiny_app import CONFIG, ROOT, app_serving
from tiny_model import CLASSES, COLOURS, SPEC, picture, write_package

from cnnClassifier.audit.pairs import CopyPair, write_pairs
from cnnClassifier.config.loading import load_project
from cnnClassifier.config.types import Paths
from cnnClassifier.datasets.manifest import Classes, ImageRecord, write_classes, write_manifest
from cnnClassifier.inference import Classifier
from cnnClassifier.web import ModelHolder, Models, create_app
from cnnClassifier.web.limits import Guard

V1 = "/api/v1"
KEY = "a key for the tests"


def record(label: str, split: str, number: int) -> ImageRecord:
    name = f"{split}/{label}/{number}.png"
    return ImageRecord(
        id=name, path=name, label=label, split=split, group=name, sha256=name, pixel_hash=name,
        width=48, height=40, mode="RGB", format="PNG", bytes=100,
    )  # fmt: skip


def write_data(root: Path, synthetic: bool) -> Paths:
    """Of each class a training image, its copy in the test split, and a test image of its own."""
    given = load_project(ROOT / "config/config.yaml").paths.model_dump()
    paths = Paths(**{name: root / path for name, path in given.items()})
    records = [record(label, *place) for label in CLASSES for place in (("train", 1), ("test", 1), ("test", 2))]
    for each in records:
        file = paths.images / each.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(each.label if each.path.endswith("2.png") else "normal"))
    paths.pairs.parent.mkdir(parents=True)
    write_manifest(records, paths.manifest)
    write_manifest([each for each in records if each.split == "test"], paths.audited_manifest)
    write_pairs([CopyPair("exact", f"test/{label}/1.png", f"train/{label}/1.png") for label in CLASSES], paths.pairs)
    write_classes(Classes(CLASSES, synthetic), paths.classes)
    return paths


@pytest.mark.parametrize(("synthetic", "kind"), [(False, "test set"), (True, "drawn")])
def test_they_are_test_images_that_training_has_in_no_form(classifier, tmp_path, synthetic, kind):
    models = ModelHolder(lambda: classifier)
    models.load_once()
    paths = write_data(tmp_path, synthetic)
    client = create_app(Models(models), CONFIG, ROOT, paths=paths).test_client()
    samples = client.get(f"{V1}/samples").json["samples"]
    assert [(sample["id"], sample["kind"]) for sample in samples] == [
        (f"test-{each}-1", kind) for each in sorted(CLASSES)
    ]
    for sample in samples:
        shown = Image.open(io.BytesIO(client.get(sample["url"]).data)).convert("RGB")
        assert shown.getpixel((0, 0)) == COLOURS[sample["label"]]


def test_samples_are_drawn_for_a_model_of_the_classes_that_can_be_drawn(client):
    samples = client.get(f"{V1}/samples").json["samples"]
    assert {(sample["label"], sample["kind"]) for sample in samples} == {(label, "drawn") for label in CLASSES}
    response = client.get(samples[0]["url"])
    assert Image.open(io.BytesIO(response.data)).size == (384, 384)
    assert client.get(samples[0]["url"]).data == response.data
    missing = client.get(f"{V1}/samples/other.png")
    assert (missing.status_code, missing.json["type"]) == (404, "urn:cnnclassifier:problem:unknown-sample")


def test_who_has_no_key_sees_no_sample(classifier):
    models = ModelHolder(lambda: classifier)
    models.load_once()
    client = create_app(Models(models), CONFIG, ROOT, Guard(KEY)).test_client()
    (first, *_) = client.get(f"{V1}/samples", headers={"X-API-Key": KEY}).json["samples"]
    assert client.get(first["url"]).status_code == 401
    assert client.get(first["url"], headers={"X-API-Key": KEY}).mimetype == "image/png"


def test_behind_a_proxy_a_sample_s_address_has_the_proxy_s_prefix(client):
    samples = client.get(f"{V1}/samples", base_url="http://localhost/ward").json["samples"]
    assert samples
    assert all(sample["url"].startswith("/ward/") for sample in samples)


def test_a_model_of_other_classes_has_no_drawn_samples(tmp_path):
    spec = SPEC.model_copy(update={"classes": ("benign", "malignant", "a", "b")})
    client = app_serving(Classifier.load(write_package(tmp_path / "m", spec), "m", "1")).test_client()
    assert client.get(f"{V1}/samples").json == {"samples": []}
