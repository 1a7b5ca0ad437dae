"""Frozen features from a folder that DVC brought: whole shards of spaces that the store has not got, once."""

from pathlib import Path

import numpy as np

from cnnClassifier.feature_sharing import take
from cnnClassifier.features.spaces import survey
from cnnClassifier.features.store import FeatureStore


def space(folder: Path, keys: list[str]) -> Path:
    FeatureStore(folder, {"network": "tiny"}).add(keys, np.arange(2 * len(keys), dtype=float).reshape(-1, 2))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_space_that_is_missing_is_taken_whole_and_only_once(tmp_path):
    shared, store = tmp_path / "features", tmp_path / "store"
    space(shared / "abc", ["one", "two"])
    (shared / "abc.lock").unlink()
    (shared / "abc/half.npy").write_bytes(b"a shard without its keys")
    (shared / "abc/other.npy.partial").write_bytes(b"half a shard")
    before = contents(shared)
    for _ in range(2):
        take(store, shared)
    assert FeatureStore(store / "abc").read(["two"]).tolist() == [[2, 3]]
    assert len(list((store / "abc").glob("*.npy"))) == 1
    assert [each.network for each in survey(store)] == ["tiny"]
    assert contents(shared) == before  # DVC would see a change


def test_what_the_store_has_stays_as_it_is(tmp_path):
    shared, store = tmp_path / "features", tmp_path / "store"
    space(shared / "abc", ["one"])
    own = contents(space(store / "abc", ["one", "two"]))
    take(store, shared)
    assert contents(store / "abc") == own


def test_nothing_shared_is_nothing_taken(tmp_path):
    take(tmp_path / "store", tmp_path / "features")
    assert not (tmp_path / "store").exists()
