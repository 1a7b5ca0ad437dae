"""Frozen features from a folder that DVC brought: whole shards of spaces that the store has not got, once."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np

from cnnClassifier import feature_sharing
from cnnClassifier.feature_sharing import take
from cnnClassifier.features.locks import alone, hold
from cnnClassifier.features.spaces import prune, survey
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


def test_two_that_take_at_once_take_it_once_and_both_find_it_whole(tmp_path, monkeypatch):
    shared, store, start = tmp_path / "features", tmp_path / "store", Barrier(4)
    keys = [f"{number}-view" for number in range(40)]
    for key in keys:
        space(shared / "abc", [key])

    def found(_: int) -> set[str]:
        start.wait()
        take(store, shared)
        return FeatureStore(store / "abc").missing(keys)

    monkeypatch.setattr(feature_sharing, "PATIENCE", 0.01)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(found, range(4))) == [set()] * 4


def test_nobody_waits_for_who_uses_a_space_that_is_not_there_yet(tmp_path):
    """It computes it."""
    space(tmp_path / "features/abc", ["one"])
    descriptor = hold(tmp_path / "store/abc")
    take(tmp_path / "store", tmp_path / "features")
    os.close(descriptor)
    assert not (tmp_path / "store/abc").exists()
    take(tmp_path / "store", tmp_path / "features")
    assert (tmp_path / "store/abc").is_dir()


def test_what_a_killed_taking_left_is_no_space_and_is_pruned(tmp_path):
    shared, store = tmp_path / "features", tmp_path / "store"
    for folder in (shared / "abc", store / "abc.partial", shared / "abc.partial", store / "def.replaced"):
        space(folder, ["one"])
    assert survey(store) == []
    with alone(store / "abc"):  # somebody is taking it now
        assert prune(store, 1e9).leftover_files == 3
        assert (store / "abc.partial").is_dir()
    take(store, shared)
    assert [folder.name for folder in store.iterdir() if folder.is_dir()] == ["abc"]
