"""A seventh task is one YAML file: the one in docs/systems.md, on a folder of pictures, down to a served answer."""

import io
import re
from itertools import product

import numpy as np
import pytest
import yaml
from PIL import Image

from cnnClassifier.components.data_audit import DataAudit
from cnnClassifier.components.data_ingestion import DataIngestion
from cnnClassifier.components.evaluation import Evaluation
from cnnClassifier.components.prepare_base_model import PrepareBaseModel
from cnnClassifier.components.training import Training
from cnnClassifier.config.data import SPLITS
from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.datasets.manifest import read_manifest
from cnnClassifier.decision import DecisionSpec
from cnnClassifier.export import export_package
from cnnClassifier.files import read_json
from cnnClassifier.inference import Classifier
from cnnClassifier.modeling import load_model
from cnnClassifier.web import ModelHolder, Models, create_app
from imports import ROOT
from ingestion import paths_below

EACH, UNSEEN = 18, 5  # pictures of a class to learn from, and to ask about
SIDE = 48


def draw(label, seed):
    """A bright ring, block or cross somewhere on so much noise that no two are taken for one."""
    random = np.random.default_rng([seed, len(label)])
    rows, columns = np.mgrid[:SIDE, :SIDE]
    down, across = abs(rows - random.integers(18, 30)), abs(columns - random.integers(18, 30))
    shapes = {
        "ring": (np.hypot(down, across) < 14) & (np.hypot(down, across) > 9),
        "block": np.maximum(down, across) < 10,
        "cross": (np.minimum(down, across) < 3) & (np.maximum(down, across) < 14),
    }
    pixels = 60 + 150 * shapes[label] + random.normal(0, 40, (SIDE, SIDE))
    stream = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert("RGB").save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """The page's own YAML, with the place of the pictures, and a network and a training of a test's size."""
    folder = tmp_path_factory.mktemp("mine")
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/systems.md").read_text(), flags=re.DOTALL)
    given = yaml.safe_load(text)
    for label in given["data_ingestion"]["classes"]:
        (folder / "data" / f"{label}s").mkdir(parents=True)
        for number in range(EACH):
            (folder / "data" / f"{label}s" / f"{number}.png").write_bytes(draw(label, number))
    given["data_ingestion"]["source"]["path"] = str(folder / "data")
    # VGG16 takes a minute to export; the project's own small network learns shapes in seconds.
    given["prepare_base_model"] |= {"backbone": "SmallCNN", "weights": "none", "freeze": "none"}
    given["prepare_base_model"]["preprocessing"]["image_size"] = 32
    given["training"] |= {"folds": 2, "epochs": 20, "learning_rate": 0.01, "weight_decay": 0.01, "batch_size": 16}
    (folder / "mine.yaml").write_text(yaml.safe_dump(given))
    return load_settings(folder / "mine.yaml")


@pytest.fixture(scope="module")
def run(settings, tmp_path_factory):
    """A project after the stages that learn."""
    paths = paths_below(tmp_path_factory.mktemp("project"))
    DataIngestion(settings.data_ingestion, paths).run()
    DataAudit(settings.data_audit, paths).run()
    PrepareBaseModel(settings.prepare_base_model, paths).run()
    Training(settings.training, paths).run()
    Evaluation(settings.evaluation, paths).run()
    return paths


def test_its_classes_are_told_apart(run, settings):
    metrics = read_json(run.metrics)
    assert set(metrics["published"]["per_class"]) == set(settings.data_ingestion.classes)
    assert metrics["grouped_cv"]["balanced_accuracy"]["value"] > 0.7


def test_its_splits_have_every_class(run, settings):
    found = {(record.label, record.split) for record in read_manifest(run.audited_manifest)}
    assert found == set(product(settings.data_ingestion.classes, SPLITS))


def test_the_web_app_answers_with_its_classes(run, settings, tmp_path):
    model, spec = load_model(run.model)
    decision = DecisionSpec.model_validate_json(run.decision.read_bytes())
    export_package(model, spec.model_copy(update={"decision": decision}), tmp_path, run.outliers)
    models = ModelHolder(lambda: Classifier.load(tmp_path, "mine", "1"))
    models.load_once()
    serving = load_project(ROOT / "config/config.yaml").serving
    client = create_app(Models(models), serving, ROOT).test_client()
    asked = list(product(settings.data_ingestion.classes, range(EACH, EACH + UNSEEN)))
    right = 0
    for label, seed in asked:
        upload = {"image": (io.BytesIO(draw(label, seed)), "unseen.png")}
        answer = client.post("/api/v1/predict", data=upload, content_type="multipart/form-data").json
        probabilities = answer["probabilities"]
        assert set(probabilities) == set(settings.data_ingestion.classes)
        right += max(probabilities, key=probabilities.get) == label
    assert right > 0.7 * len(asked)  # a third by chance
