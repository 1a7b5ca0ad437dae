"""What is put into a store comes out again, whoever else writes and whatever was killed."""

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from cnnClassifier.errors import DataError, ModelError
from cnnClassifier.features.store import FeatureStore

HALF_PRECISION = 2**-11  # relative


def arrays(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3, 2)).astype(np.float32)


def write_shards(folder: Path, seed: int) -> None:
    store = FeatureStore(folder)
    for shard in range(5):
        store.add([f"{seed}-{shard}-{row}" for row in range(4)], arrays(4, seed + shard))


def test_features_are_read_back_in_the_order_asked_for(tmp_path):
    features = arrays(4)
    FeatureStore(tmp_path).add(["a", "b", "c", "d"], features)
    read = FeatureStore(tmp_path).read(["d", "a", "d"])
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, features[[3, 0, 3]], rtol=HALF_PRECISION)


def test_a_new_store_misses_everything_and_a_filled_one_only_the_rest(tmp_path):
    store = FeatureStore(tmp_path / "new")
    assert store.missing(["a", "b"]) == {"a", "b"}
    store.add(["a"], arrays(1))
    assert store.missing(["a", "b"]) == {"b"}


def test_a_shard_whose_writer_was_killed_does_not_count(tmp_path):
    store = FeatureStore(tmp_path)
    store.add(["whole"], arrays(1))
    np.save(tmp_path / "killed.npy", arrays(2))
    (tmp_path / "earlier.npy.partial").write_bytes(b"\x93NUMPY half")
    again = FeatureStore(tmp_path)
    assert again.missing(["whole", "lost"]) == {"lost"}
    again.add(["lost"], arrays(1, 1))
    np.testing.assert_allclose(FeatureStore(tmp_path).read(["lost"]), arrays(1, 1), rtol=HALF_PRECISION)


def test_a_shard_whose_keys_are_damaged_is_named_and_computed_again_once_they_are_deleted(tmp_path):
    FeatureStore(tmp_path).add(["a"], arrays(1))
    (keys,) = (file for file in tmp_path.glob("*.json") if file.name != "space.json")
    keys.write_text('["')
    with pytest.raises(DataError, match=f"{keys.name}: damaged"):
        FeatureStore(tmp_path).missing(["a"])
    keys.unlink()
    assert FeatureStore(tmp_path).missing(["a"]) == {"a"}


def test_shards_are_given_whole_and_only_those_that_are_asked_for(tmp_path):
    store = FeatureStore(tmp_path / "here")
    for first, names in enumerate(("ab", "cd", "ef")):
        store.add(list(names), arrays(2, first))
    there = FeatureStore(tmp_path / "there")
    for keys, features in store.shards({"a", "f"}):
        assert features.dtype == np.float16
        there.add(keys, features)
    assert there.missing("abcdef") == {"c", "d"}
    np.testing.assert_array_equal(there.read("abef"), store.read("abef"))
    with pytest.raises(DataError, match="no features of lost"):
        list(store.shards({"a", "lost"}))
    for file in store.folder.glob("*.npy"):
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"\.npy is cut short; delete it and \w+\.json beside it"):
        list(store.shards({"a"}))


def test_two_writers_at_once_do_each_other_no_harm(tmp_path):
    start = multiprocessing.get_context("spawn")
    writers = [start.Process(target=write_shards, args=(tmp_path, seed)) for seed in (0, 100)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    keys = [f"{seed}-{shard}-{row}" for seed in (0, 100) for shard in range(5) for row in range(4)]
    expected = np.concatenate([arrays(4, seed + shard) for seed in (0, 100) for shard in range(5)])
    np.testing.assert_allclose(FeatureStore(tmp_path).read(keys), expected, rtol=HALF_PRECISION)


def test_the_same_key_written_twice_may_be_either_copy(tmp_path):
    for _ in range(2):
        FeatureStore(tmp_path).add(["a"], arrays(1))
    np.testing.assert_allclose(FeatureStore(tmp_path).read(["a"]), arrays(1), rtol=HALF_PRECISION)


def test_more_shards_than_a_process_may_hold_open_can_be_read(tmp_path):
    resource = pytest.importorskip("resource")
    store = FeatureStore(tmp_path)
    keys = [f"k{number}" for number in range(400)]
    for key in keys:
        store.add([key], arrays(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(file.name) for file in Path("/dev/fd").iterdir())  # other tests of this process left some open
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 100, hard))
    try:
        assert len(FeatureStore(tmp_path).read(keys)) == len(keys)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_only_the_rows_asked_for_are_read_and_a_lost_end_is_an_error(tmp_path):
    store = FeatureStore(tmp_path)
    store.add([str(row) for row in range(64)], np.ones((64, 64, 64), np.float32))
    (shard,) = tmp_path.glob("*.npy")
    with shard.open("r+b") as file:
        file.truncate(shard.stat().st_size - 1)
    np.testing.assert_array_equal(FeatureStore(tmp_path).read(["62", "0"]), np.ones((2, 64, 64)))
    with pytest.raises(DataError, match=r"\.npy is cut short; delete it and"):
        FeatureStore(tmp_path).read(["63"])


def test_a_space_is_described_once_for_people(tmp_path):
    FeatureStore(tmp_path, {"network": "first"}).add(["a"], arrays(1))
    FeatureStore(tmp_path, {"network": "second"}).add(["b"], arrays(1))
    described = json.loads((tmp_path / "space.json").read_text())
    assert (described["network"], described["shape"]) == ("first", [3, 2])
    assert FeatureStore(tmp_path).missing(["a", "b", "network"]) == {"network"}


def test_a_key_that_was_never_added_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="no features of a; they were deleted while in use, run the stage again"):
        FeatureStore(tmp_path).read(["a"])


@pytest.mark.parametrize("value", [1e6, np.nan, -np.inf])
def test_values_that_half_precision_cannot_hold_are_refused(tmp_path, value):
    with pytest.raises(ModelError, match="beyond half precision"):
        FeatureStore(tmp_path).add(["a"], np.full((1, 2), value, np.float32))
    assert FeatureStore(tmp_path).missing(["a"]) == {"a"}
