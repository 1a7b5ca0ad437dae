"""prepare_base_model: class names in, an untrained model that knows them out."""

import json

import pytest

from cnnClassifier.errors import ConfigError, DataError, WeightsError
from cnnClassifier.modeling import load_model
from tiny_pipeline import CLASSES, contents, prepare


def test_the_base_model_knows_its_classes_and_its_preprocessing(project):
    prepare(project, preprocessing={"image_size": 48, "contrast": None})
    model, spec = load_model(project.base_model)
    assert model.output_shape == (None, len(CLASSES))
    assert spec.classes == CLASSES
    assert (spec.backbone, spec.weights, spec.freeze, spec.synthetic) == ("SmallCNN", "none", "none", False)
    assert (spec.preprocessing.image_size, spec.preprocessing.contrast) == (48, None)


def test_its_summary_and_parameter_counts_stand_beside_it(project):
    prepare(project, freeze="block1_pool")
    counts = json.loads((project.base_model / "parameters.json").read_text())
    assert counts["total"] == counts["trainable"] + counts["frozen"]
    assert counts["frozen"] >= 3 * 3 * 3 * 16
    assert "block4_pool" in (project.base_model / "summary.txt").read_text()


def test_the_stage_run_twice_writes_the_same_bytes(project):
    prepare(project)
    first = contents(project.base_model)
    prepare(project)
    assert contents(project.base_model) == first


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"backbone": "VGG61"}, ConfigError),
        ({"freeze": "block9_pool"}, ConfigError),
        ({"backbone": "VGG16", "weights": "nowhere.weights.h5"}, WeightsError),
    ],
)
def test_a_model_that_cannot_be_built_leaves_the_last_one_alone(project, change, error):
    prepare(project)
    before = contents(project.base_model)
    with pytest.raises(error):
        prepare(project, **change)
    assert contents(project.base_model) == before


def test_without_class_names_it_says_which_stage_to_run(project, tmp_path):
    with pytest.raises(DataError, match=r"run `python main\.py data_ingestion` first"):
        prepare(project.model_copy(update={"classes": tmp_path / "none.json"}))
