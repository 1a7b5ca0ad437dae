"""Features are computed once for each image, view and network, and never taken for another's."""

import hashlib
import inspect
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnnClassifier import decoders, dicom, preprocessing, stain
from cnnClassifier.augmentation import View, all_views
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import AugmentationConfig
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.errors import ImageError
from cnnClassifier.features.extraction import SHARD, FeatureExtractor, Space, feature_key

SPEC = PreprocessingSpec(image_size=16, body_crop=False)
PLAIN = View(0, 0, AugmentationConfig())
VIEWS = all_views(AugmentationConfig(views=2), seed=1)


class Means:
    """A network that gives each image's mean by channel, and remembers how many images it was shown."""

    def __init__(self) -> None:
        self.images = 0

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.images += len(batch)
        return batch.mean(axis=(1, 2))


def record(path: str, data: bytes) -> ImageRecord:
    digest = hashlib.sha256(data).hexdigest()
    return ImageRecord(path, path, "a", "train", path, digest, digest, 16, 16, "L", "PNG", len(data))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    draw = np.random.default_rng(0)
    for number in range(SHARD + 6):
        Image.fromarray(draw.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"{number:03}.png")
    return folder


@pytest.fixture(scope="module")
def records(images: Path) -> list[ImageRecord]:
    return [record(file.name, file.read_bytes()) for file in sorted(images.iterdir())]


def extractor(cache: Path, images: Path, spec: PreprocessingSpec = SPEC, trunk: str = "t") -> FeatureExtractor:
    return FeatureExtractor(cache, images, Space(spec, trunk), Means())


def test_each_view_of_each_image_is_computed_once(tmp_path, images, records):
    cold = extractor(tmp_path, images)
    cold.ensure(records, VIEWS)
    cold.ensure(records, VIEWS)
    assert cold.forward.images == len(records) * len(VIEWS)


def test_a_warm_cache_costs_no_forward_pass(tmp_path, images, records):
    cold, warm = extractor(tmp_path, images), extractor(tmp_path, images)
    cold.ensure(records, VIEWS)
    warm.ensure(records, VIEWS)
    assert warm.forward.images == 0
    np.testing.assert_array_equal(warm.read(records, VIEWS[1]), cold.read(records, VIEWS[1]))


def test_only_what_is_missing_is_computed(tmp_path, images, records):
    extractor(tmp_path, images).ensure(records[:10], [PLAIN])
    later = extractor(tmp_path, images)
    later.ensure(records, [PLAIN])
    assert later.forward.images == len(records) - 10


def test_features_are_those_of_the_image_in_its_view(tmp_path, images, records):
    features = extractor(tmp_path, images)
    features.ensure(records, VIEWS)
    pixels = np.asarray(Image.open(images / records[3].path), dtype=np.float32)
    low, high = np.percentile(pixels, [1, 99])
    expected = np.clip((pixels - low) * 255 / (high - low), 0, 255).mean()
    np.testing.assert_allclose(features.read([records[3]], PLAIN)[0], [expected] * 3, rtol=1e-3)
    items = [(records[5], VIEWS[2]), (records[3], VIEWS[0])]
    one_by_one = [features.read([each], view)[0] for each, view in items]
    np.testing.assert_array_equal(features.read_views(items), one_by_one)
    assert not np.array_equal(one_by_one[0], features.read([records[5]], PLAIN)[0])


def test_work_done_before_a_kill_is_not_done_again(tmp_path, images, records):
    killed = extractor(tmp_path, images)
    network = killed.forward

    def dies_in_the_second_shard(batch: np.ndarray) -> np.ndarray:
        if network.images >= SHARD:
            raise KeyboardInterrupt
        return network(batch)

    killed.forward = dies_in_the_second_shard
    with pytest.raises(KeyboardInterrupt):
        killed.ensure(records, [PLAIN])
    again = extractor(tmp_path, images)
    again.ensure(records, [PLAIN])
    assert again.forward.images == len(records) - SHARD


def test_the_same_picture_under_two_names_is_computed_once(tmp_path, images, records):
    data = (images / records[0].path).read_bytes()
    for name in ("one.png", "twin.png"):
        (tmp_path / name).write_bytes(data)
    features = extractor(tmp_path / "cache", tmp_path)
    features.ensure([record("one.png", data), record("twin.png", data)], [PLAIN])
    assert features.forward.images == 1


def test_an_edit_of_any_module_that_makes_pixels_is_another_space(tmp_path, monkeypatch):
    def key(method: str = "none") -> str:
        return Space(SPEC.model_copy(update={"stain": method}), "t").key

    before, stained, source = key(), key("macenko"), inspect.getsource
    assert key() == before
    for module in (preprocessing, decoders, stain):
        with monkeypatch.context() as edited:
            edited.setattr(inspect, "getsource", lambda of, module=module: source(of) + "# edited" * (of is module))
            assert (key() == before) == (module is stain)
            assert key("macenko") != stained
    copy = shutil.copytree(Path(dicom.__file__).parent, tmp_path / "dicom")
    monkeypatch.setattr(dicom, "__file__", str(copy / "__init__.py"))
    assert key() == before
    for name in ("window.py", "frames.py"):
        with (copy / name).open("a") as file:
            file.write("# edited")
        assert key() != before
        before = key()


@pytest.mark.parametrize(
    ("spec", "trunk"),
    [
        (SPEC.model_copy(update={"contrast": None}), "t"),
        (SPEC.model_copy(update={"image_size": 17}), "t"),
        (SPEC, "other weights"),
    ],
)
def test_other_preprocessing_or_weights_are_another_space(tmp_path, images, records, spec, trunk):
    extractor(tmp_path, images).ensure(records[:4], [PLAIN])
    other = extractor(tmp_path, images, spec, trunk)
    assert other.space.key != Space(SPEC, "t").key
    other.ensure(records[:4], [PLAIN])
    assert other.forward.images == 4


def test_a_view_is_named_by_how_it_is_drawn(records):
    drawn = AugmentationConfig(views=2)
    keys = {
        feature_key(records[0], PLAIN),
        feature_key(records[0], View(1, 1, drawn)),
        feature_key(records[0], View(2, 1, drawn)),
        feature_key(records[0], View(1, 2, drawn)),
        feature_key(records[0], View(1, 1, drawn.model_copy(update={"zoom": 0.3}))),
        feature_key(records[1], PLAIN),
    }
    assert len(keys) == 6


def test_asking_for_more_views_keeps_those_there_are():
    few, many = all_views(AugmentationConfig(views=2), 1), all_views(AugmentationConfig(views=5), 1)
    assert [view.key for view in few] == [view.key for view in many][:3]


def test_an_image_that_went_bad_is_an_error_and_not_a_feature(tmp_path, images, records):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / records[0].path).write_bytes((images / records[0].path).read_bytes()[:60])
    with pytest.raises(ImageError):
        extractor(tmp_path, folder).ensure([records[0]], [PLAIN])
