"""What readers and workers of a cluster do with a part, done here: the same features, and the same errors."""

import numpy as np
import pyarrow as pa
import pytest

from cnnClassifier.augmentation import View
from cnnClassifier.config.types import AugmentationConfig
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest
from cnnClassifier.errors import DataError
from cnnClassifier.feature_cluster import answer_part, read_part
from cnnClassifier.features.extraction import FeatureExtractor
from cnnClassifier.features.network import open_features
from cnnClassifier.inference import open_session
from cnnClassifier.modeling import cut, load_model
from tiny_pipeline import ingest_and_audit, prepare, write_data

TURNED = View(1, 1, AugmentationConfig())


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureExtractor, list[ImageRecord]]:
    """The store and the images of a tiny project in eight bits; the first image is broken, the second is gone."""
    root = tmp_path_factory.mktemp("cluster")
    paths = ingest_and_audit(root, write_data(root / "data"))
    prepare(paths, freeze="all", precision="int8")
    model, spec = load_model(paths.base_model)
    opened = open_features(cut(model, spec.freeze), spec, paths)
    opened.forward.network()  # while all of its ranging images are there
    broken, gone, *_ = records = read_manifest(paths.audited_manifest)
    (paths.images / broken.path).write_bytes(b"no picture")
    (paths.images / gone.path).unlink()
    return opened, records


def test_a_part_is_answered_with_what_is_computed_here(features):
    opened, records = features
    answers = ask(opened, records[2:7])
    opened.ensure(records[2:7], [TURNED])
    expected = opened.read(records[2:7], TURNED)
    told = np.stack([np.frombuffer(row["features"], np.float32) for row in answers])
    np.testing.assert_array_equal(told.astype(np.float16), expected.astype(np.float16))
    assert [row["key"] for row in answers] == ["0", "1", "2", "3", "4"]
    assert not any(row["error"] for row in answers)


@pytest.mark.parametrize(("position", "reason"), [(0, "not an image"), (1, "No such file")])
def test_what_cannot_be_read_is_the_error_that_it_is_here(features, position, reason):
    opened, records = features
    with pytest.raises(DataError, match=reason) as here:
        opened.ensure([records[position]], [TURNED])
    (answer,) = ask(opened, [records[position]])
    assert answer == {"key": "0", "features": None, "error": str(here.value)}
    assert records[position].path in answer["error"]
    assert "python main.py data_ingestion" in answer["error"]


def ask(opened: FeatureExtractor, records: list[ImageRecord]) -> list[dict]:
    """What the cluster would say of a view of each record, in the order of a part."""
    asked = [
        {"key": str(number), "path": record.path, "sha256": record.sha256, "view": 0}
        for number, record in enumerate(records)
    ]
    session = open_session(opened.forward.network(), 1)
    read = read_part(pa.Table.from_pylist(asked), opened.images)
    return answer_part(read, session, [TURNED], opened.space.preprocessing).to_pylist()
