import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tiny_model import (
    CLASSES,
    COLOURS,
    DECIDING,
    GREY,
    LEANING,
    MIXED,
    PURE,
    REFERENCE,
    SIZE,
    SPEC,
    coloured,
    picture,
    with_spot,
    write_deciding_package,
    write_explaining_package,
    write_package,
)

from cnnClassifier.errors import ImageError, ModelError
from cnnClassifier.heatmap import peak, relevance
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ONNX_FILE, OUTLIERS_FILE, SPEC_FILE, read_spec
from cnnClassifier.outliers import Reference, save_reference
from cnnClassifier.preprocessing import decode, kept_box, preprocess

RELEASED = Path(__file__).parents[2] / "models/chest_ct"


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


def test_a_pass_on_one_core_of_many_answers_as_one_on_all_of_them():
    alone = Classifier.load(RELEASED, "chest_ct", "1", threads=2)
    crowd = alone.for_a_crowd()
    batch = preprocess(picture(), alone.spec.preprocessing)[np.newaxis]
    assert crowd.one_core is not None
    assert crowd.for_a_crowd() is crowd
    assert crowd.classify_batch(batch, crowded=True) == crowd.classify_batch(batch) == alone.classify_batch(batch)
    explained = crowd.explain_batch(batch, crowded=True)[0]
    assert explained.maps.tolist() == alone.explain_batch(batch)[0].maps.tolist()


def test_a_model_that_has_one_core_needs_no_second_session(classifier):
    assert classifier.for_a_crowd() is classifier


@pytest.mark.parametrize(
    ("colour", "state", "label"),
    [
        (PURE, "answer", "adenocarcinoma"),
        (LEANING, "answer", "large_cell_carcinoma"),
        (MIXED, "abstained", None),
        (GREY, "refused", None),
    ],
)
def test_a_model_s_own_rules_make_the_answer(deciding, colour, state, label):
    prediction = deciding.classify(coloured(colour))
    assert (prediction.state, prediction.label) == (state, label)
    assert bool(prediction.changes) == (colour != PURE)


def test_probabilities_of_pixels_are_uncalibrated_and_those_of_an_answer_calibrated(tmp_path):
    decision = SPEC.decision.model_copy(update={"temperature": 3.0})
    folder = write_package(tmp_path / "model", SPEC.model_copy(update={"decision": decision}))
    warm = Classifier.load(folder, "colours", "1")
    raw = warm.classify_pixels(preprocess(picture(), SPEC.preprocessing)[np.newaxis])[0]
    expected = raw ** (1 / 3) / (raw ** (1 / 3)).sum()
    assert list(warm.classify(picture()).probabilities.values()) == pytest.approx(expected.tolist(), rel=1e-4)


def test_features_of_pixels_are_the_pooled_ones(classifier):
    batch = preprocess(coloured((40, 50, 60)), SPEC.preprocessing)[np.newaxis]
    assert classifier.features_of_pixels(batch).tolist() == [pytest.approx([40, 50, 60], abs=0.01)]


def test_a_model_with_maps_shows_where_its_evidence_lies(tmp_path):
    explaining = Classifier.load(write_explaining_package(tmp_path / "model"), "colours", "1")
    data = with_spot((250, 0, 0), row=15, column=33)
    batch = preprocess(data, SPEC.preprocessing)[np.newaxis]
    probabilities, maps = explaining.explain_pixels(batch)
    assert explaining.has_maps
    assert probabilities.tolist() == explaining.classify_pixels(batch).tolist()
    assert maps.shape == (1, len(CLASSES), 8, 8)
    box = kept_box(decode(data), SPEC.preprocessing)
    assert peak(relevance(maps[0, CLASSES.index("adenocarcinoma")]), box) == (15, 33)
    assert peak(relevance(maps[0, CLASSES.index("normal")]), box) is None


def test_a_model_without_maps_answers_and_says_that_it_cannot_say_why(classifier):
    assert not classifier.has_maps
    with pytest.raises(ModelError, match=r"model colours version 7 cannot say why: .*before there were maps"):
        classifier.explain_pixels(preprocess(picture(), SPEC.preprocessing)[np.newaxis])


def test_maps_of_other_classes_are_noticed_at_load(tmp_path):
    assert_load_fails(
        write_package(tmp_path / "model", maps=3), r"names 4 classes, model\.onnx has maps \['batch', 3, 8, 8\]"
    )


def test_an_outlier_rule_without_its_file_or_features_is_noticed_at_load(tmp_path):
    assert_load_fails(write_package(tmp_path / "alone", DECIDING), r"outliers\.npz: no such file")
    bare = write_package(tmp_path / "bare", DECIDING, features=False)
    save_reference(REFERENCE, bare / OUTLIERS_FILE)
    assert_load_fails(bare, "no tensor 'features'; there are: probabilities")


def test_an_outlier_rule_of_another_model_is_noticed_at_load(tmp_path):
    folder = write_deciding_package(tmp_path / "model")
    wide = Reference(np.ones((5, 7), dtype=np.float32), np.ones(7, dtype=np.float32))
    save_reference(wide, folder / OUTLIERS_FILE)
    assert_load_fails(folder, r"outliers\.npz is for 7 features, model\.onnx has")


def test_a_model_from_before_there_were_rules_still_loads(tmp_path):
    folder = write_package(tmp_path / "model")
    older = json.loads((folder / SPEC_FILE).read_text())
    del older["decision"]
    (folder / SPEC_FILE).write_text(json.dumps(older))
    assert Classifier.load(folder, "colours", "1").classify(picture()).label == "adenocarcinoma"


@pytest.mark.parametrize("positive", [[], ["no_class"], list(CLASSES)])
def test_positive_classes_must_be_some_of_the_model_s(tmp_path, positive):
    folder = write_deciding_package(tmp_path / "model")
    changed = json.loads((folder / SPEC_FILE).read_text())
    changed["decision"]["operating"]["positive"] = positive
    (folder / SPEC_FILE).write_text(json.dumps(changed))
    with pytest.raises(ModelError, match=r"(?s)model\.json: .*positive"):
        read_spec(folder)


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
