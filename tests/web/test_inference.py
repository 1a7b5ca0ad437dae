from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tiny_model import CLASSES, COLOURS, SIZE, SPEC, picture, write_package

from cnnClassifier.errors import ImageError, ModelError
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ONNX_FILE, SPEC_FILE
from cnnClassifier.preprocessing import preprocess


@pytest.mark.parametrize("label", CLASSES)
def test_each_class_is_recognised_with_its_confidence(classifier, label):
    prediction = classifier.classify(picture(label))
    assert prediction.label == label
    assert prediction.confidence == prediction.probabilities[label] > 0.9


def test_a_prediction_names_its_model_and_lists_the_classes_in_order(classifier):
    prediction = classifier.classify(picture())
    assert (prediction.model, prediction.version) == ("colours", "7")
    assert tuple(prediction.probabilities) == CLASSES
    assert sum(prediction.probabilities.values()) == pytest.approx(1)


def test_a_batch_gives_what_its_images_give_alone(classifier):
    pictures = [picture(label) for label in CLASSES]
    batch = np.stack([preprocess(data, SPEC.preprocessing) for data in pictures])
    alone = [list(classifier.classify(data).probabilities.values()) for data in pictures]
    assert classifier.classify_pixels(batch).tolist() == [pytest.approx(row) for row in alone]


def test_threads_may_share_a_classifier(classifier):
    labels = list(COLOURS) * 25
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda label: classifier.classify(picture(label)).label, labels)
    assert list(answers) == labels


def test_what_is_no_image_is_an_image_error(classifier):
    with pytest.raises(ImageError):
        classifier.classify(b"no picture")


def test_a_good_model_passes_its_self_test(classifier):
    classifier.self_test()


def test_too_many_classes_in_the_weights_are_noticed_at_load(tmp_path):
    folder = write_package(tmp_path / "model", outputs=5)
    with pytest.raises(ModelError, match=r"names 4 classes, model\.onnx answers"):
        Classifier.load(folder, "colours", "1")


def test_another_input_size_is_noticed_at_load(tmp_path):
    folder = write_package(tmp_path / "model", size=SIZE * 2)
    with pytest.raises(ModelError, match=r"images of 32 x 32 x 3, model\.onnx takes"):
        Classifier.load(folder, "colours", "1")


def test_an_open_input_size_fits_any_spec(tmp_path):
    Classifier.load(write_package(tmp_path / "model", size=None), "colours", "1").self_test()


def test_missing_and_broken_files_are_named(tmp_path):
    folder = write_package(tmp_path / "model")
    (folder / ONNX_FILE).write_bytes(b"not a model")
    assert_load_fails(folder, "model.onnx: not an ONNX model")
    (folder / ONNX_FILE).unlink()
    assert_load_fails(folder, "model.onnx")
    (folder / SPEC_FILE).unlink()
    assert_load_fails(folder, "model.json: no such file")


def assert_load_fails(folder: Path, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Classifier.load(folder, "colours", "1")
