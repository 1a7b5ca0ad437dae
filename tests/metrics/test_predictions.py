"""The table of predictions: what is written is read again, and what is wrong is named with its line."""

import dataclasses

import numpy as np
import pytest
from synthetic import CLASSES, predictions

from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import DataError
from cnnClassifier.metrics.predictions import read_predictions, write_predictions

IMAGES = 40


def record(number: int, label: str) -> ImageRecord:
    return ImageRecord(
        id=f"id{number}",
        path=f"{label}/{number:03d}, a scan.png",
        label=label,
        split="test",
        group=f"patient {number // 4}",
        sha256=f"{number:064x}",
        pixel_hash="0",
        width=8,
        height=8,
        mode="L",
        format="PNG",
        bytes=70,
    )


@pytest.fixture
def made():
    truth, probabilities, _, folds = predictions(images=IMAGES)
    return [record(number, CLASSES[label]) for number, label in enumerate(truth)], probabilities, folds


@pytest.fixture
def table(made, tmp_path):
    records, probabilities, _ = made
    write_predictions(records, probabilities, CLASSES, tmp_path / "predictions.csv")
    return tmp_path / "predictions.csv"


@pytest.mark.parametrize("with_folds", [False, True])
def test_what_is_written_is_read_in_path_order(made, tmp_path, with_folds):
    records, probabilities, folds = made
    write_predictions(records, probabilities, CLASSES, tmp_path / "p.csv", folds if with_folds else None)
    found = read_predictions(tmp_path / "p.csv")
    order = sorted(range(IMAGES), key=lambda row: records[row].path)
    assert found.paths == [records[row].path for row in order]
    assert found.ids == [records[row].id for row in order]
    assert found.sha256 == [records[row].sha256 for row in order]
    assert found.groups.tolist() == [records[row].group for row in order]
    assert found.labels == [records[row].label for row in order] == [CLASSES[index] for index in found.truth]
    assert found.classes == CLASSES
    np.testing.assert_allclose(found.probabilities, probabilities[order], rtol=1e-5)
    if with_folds:
        np.testing.assert_array_equal(found.folds, folds[order])
    else:
        assert found.folds is None


def test_the_columns_are_those_of_the_contract(table, made, tmp_path):
    assert table.read_text().splitlines()[0] == "id,sha256,path,group,label,predicted,north,east,south,west"
    records, probabilities, folds = made
    write_predictions(records, probabilities, CLASSES, tmp_path / "folds.csv", folds)
    assert (tmp_path / "folds.csv").read_text().startswith("id,sha256,path,group,label,fold,predicted,north,")


def test_predicted_is_the_most_probable_class(table):
    found = read_predictions(table)
    written = [line.split(",")[6] for line in table.read_text().splitlines()[1:]]  # paths hold a comma
    assert written == [CLASSES[index] for index in found.probabilities.argmax(axis=1)]


def test_the_order_of_records_does_not_change_a_byte(made, table, tmp_path):
    records, probabilities, _ = made
    write_predictions(records[::-1], probabilities[::-1], CLASSES, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == table.read_bytes()


def test_the_smallest_probabilities_stay_above_zero(made, tmp_path):
    records, probabilities, _ = made
    probabilities[0] = [1 - 3e-12, 1e-12, 1e-12, 1e-12]
    write_predictions(records, probabilities.astype(np.float32), CLASSES, tmp_path / "p.csv")
    assert read_predictions(tmp_path / "p.csv").probabilities.min() == pytest.approx(1e-12)


@pytest.mark.parametrize("name", ["fold", "predicted", "label"])
def test_a_class_may_be_called_like_a_column(made, tmp_path, name):
    records, probabilities, _ = made
    classes = (name, *CLASSES[1:])
    renamed = [dataclasses.replace(each, label=name if each.label == "north" else each.label) for each in records]
    write_predictions(renamed, probabilities, classes, tmp_path / "p.csv")
    assert read_predictions(tmp_path / "p.csv").classes == classes


# --- what is wrong ------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["training", "evaluation"])
def test_a_missing_table_names_the_stage_that_writes_it(tmp_path, stage):
    with pytest.raises(DataError, match=rf"nothing\.csv: no predictions; run `python main\.py {stage}` first"):
        read_predictions(tmp_path / "nothing.csv", stage)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",group,", ",patient,", r"expected the columns id,sha256,path,group,label,\(fold\),predicted .*,patient,"),
        ("predicted,north,east,south,west", "predicted,north", "two classes or more"),
        ("id,sha256", "", "expected the columns"),
    ],
)
def test_a_wrong_header_is_told_with_the_file(table, old, new, message):
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message) as error:
        read_predictions(table)
    assert str(table) in str(error.value)


def spoil_line(table, line, change):
    lines = table.read_text().splitlines()
    cells = lines[line - 1].rsplit(",", 6)  # before label, label, predicted, four probabilities
    lines[line - 1] = ",".join(change(cells))
    table.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cells: [*cells[:3], "0.9", "0.9", "0", "0"], "sum to 1"),
        (lambda cells: [*cells[:3], "1.5", "-0.5", "0", "0"], "must lie in 0 to 1"),
        (lambda cells: [*cells[:3], "nan", "0.5", "0.5", "0"], "sum to 1"),
        (lambda cells: [*cells[:3], "many", "0.5", "0.5", "0"], "not a probability: .*many"),
        (lambda cells: [cells[0], "up", *cells[2:]], "unknown label; .* Received: 'up'"),
        (lambda cells: cells[:-1], r"expected 10 cells\. Received: 9"),
    ],
)
def test_a_wrong_row_is_told_with_its_line(table, change, message):
    spoil_line(table, 5, change)
    with pytest.raises(DataError, match=rf"predictions\.csv, line 5: .*{message}"):
        read_predictions(table)


def test_a_row_that_rounding_left_a_little_off_is_taken(table):
    spoil_line(table, 5, lambda cells: [*cells[:3], "0.5", "0.5", "0.0005", "0.0004"])
    assert len(read_predictions(table).paths) == IMAGES


def test_a_fold_that_is_no_number_is_told_with_its_line(made, tmp_path):
    records, probabilities, folds = made
    path = tmp_path / "p.csv"
    write_predictions(records, probabilities, CLASSES, path, folds)
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace(f",{read_predictions(path).folds[1]},", ",first,", 1)
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"line 3: expected a fold's number\. Received: 'first'"):
        read_predictions(path)


def test_a_table_without_rows_and_one_that_is_no_text_are_told(table):
    table.write_text(table.read_text().splitlines()[0] + "\n")
    with pytest.raises(DataError, match="a header and no predictions"):
        read_predictions(table)
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a CSV table in UTF-8"):
        read_predictions(table)
