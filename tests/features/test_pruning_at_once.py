"""Pruning while other processes write, read and are killed: nobody is harmed, and what they leave is removed."""

import contextlib
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
from filled_spaces import SHARDS, filled, names, row_of

from cnnClassifier.features.spaces import prune, survey
from cnnClassifier.features.store import FeatureStore
from cnnClassifier.features.terminal import store_report

# Processes of a server that has the libraries loaded, and neither TensorFlow nor threads.
START = multiprocessing.get_context("forkserver")
START.set_forkserver_preload(["pytest", "cnnClassifier.features.store", "cnnClassifier.features.terminal"])


# --- what other processes do ------------------------------------------------------------------


def hold_open(folder: Path, ready: object) -> None:
    store = FeatureStore(folder)
    store.missing(["a"])
    (store.folder / "half.npy.partial").write_bytes(b"half")
    ready.set()
    time.sleep(60)


def write_for_ever(folder: Path) -> None:
    store = FeatureStore(folder, {"network": "written"})
    for number in range(2000):
        key = f"{number % 2000}-{os.getpid()}"
        store.add([key], row_of(key))


def prune_for_ever(root: Path) -> None:
    while True:
        prune(root, 0)


def report_for_ever(root: Path) -> None:
    while True:
        store_report(root, 0)


def prune_once(root: Path, limit: int, start: object) -> None:
    start.wait()
    prune(root, limit)


def use_for_a_while(root: Path) -> None:
    """Open one space after another, fill in what is missing, read it all: nothing may vanish meanwhile."""
    rounds = 0
    until = time.monotonic() + 3
    while time.monotonic() < until:
        store = FeatureStore(root / str(rounds % 3))
        keys = [f"{number}-plain" for number in range(5)]
        for key in sorted(store.missing(keys)):
            store.add([key], row_of(key))
        np.testing.assert_array_equal(store.read(keys), np.concatenate([row_of(key) for key in keys]))
        rounds += 1
    assert rounds > 10


@contextlib.contextmanager
def running(target: object, *arguments: object):
    process = START.Process(target=target, args=arguments, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join(60)


def kill_at_random(target: object, folder: Path, draw: random.Random) -> None:
    """SIGKILL, some moment after the first change that the process makes to the folder's contents."""
    before = sorted(folder.iterdir()) if folder.exists() else []
    with running(target, folder) as process:
        while process.is_alive() and (sorted(folder.iterdir()) if folder.exists() else []) == before:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.05))
        os.kill(process.pid, signal.SIGKILL)


# --- several processes, and kills -------------------------------------------------------------


def test_a_space_that_another_process_uses_stays_with_its_half_written_files_until_it_is_killed(tmp_path):
    folders = filled(tmp_path, "ab")
    ready = START.Event()
    with running(hold_open, folders["a"], ready) as process:
        assert ready.wait(60)
        pruned = prune(tmp_path, 0)
        assert names(tmp_path) == "a"
        assert pruned.leftover_files == 0
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
    pruned = prune(tmp_path, 1e9)
    assert (pruned.leftover_files, pruned.removed) == (1, [])
    prune(tmp_path, 0)
    assert names(tmp_path) == ""


def test_two_that_prune_at_once_do_not_remove_twice_as_much(tmp_path):
    filled(tmp_path, "abcdefgh")
    limit = 4 * survey(tmp_path)[0].bytes
    start = START.Barrier(2)
    with running(prune_once, tmp_path, limit, start) as one, running(prune_once, tmp_path, limit, start) as other:
        for process in (one, other):
            process.join(60)
            assert process.exitcode == 0
    assert names(tmp_path) == "efgh"


def test_two_that_prune_and_one_that_reports_do_no_harm_to_one_that_writes_and_reads(tmp_path):
    filled(tmp_path, "012")
    with contextlib.ExitStack() as others:
        targets = (prune_for_ever, prune_for_ever, report_for_ever, use_for_a_while)
        *rest, user = [others.enter_context(running(target, tmp_path)) for target in targets]
        user.join(90)
        assert user.exitcode == 0
        assert all(process.is_alive() for process in rest)


def test_a_writer_killed_at_any_moment_leaves_only_what_is_whole_or_can_be_pruned(tmp_path):
    draw, folder = random.Random(0), tmp_path / "a"
    folder.mkdir()
    for _ in range(3):
        kill_at_random(write_for_ever, folder, draw)
    store = FeatureStore(folder)
    keys = list(store._index)
    assert keys
    np.testing.assert_array_equal(store.read(keys), np.concatenate([row_of(key) for key in keys]))
    del store
    prune(tmp_path, 1e9)
    shards = {file.stem for file in folder.glob("*.npy")}
    assert {file.name for file in folder.iterdir()} == {
        "space.json", *(f"{shard}.npy" for shard in shards), *(f"{shard}.json" for shard in shards)
    }  # fmt: skip
    assert FeatureStore(folder).missing(keys) == set()


def test_pruning_killed_at_any_moment_leaves_spaces_whole_and_is_finished_by_the_next(tmp_path):
    draw = random.Random(1)
    for _ in range(3):
        filled(tmp_path, "".join(map(chr, range(ord("a"), ord("z")))))
        kill_at_random(prune_for_ever, tmp_path, draw)
        for space in survey(tmp_path):
            assert space.count() == (SHARDS, 1)
    prune(tmp_path, 0)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
