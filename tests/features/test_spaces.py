"""The feature store as a whole: what it holds, and that pruning takes the right spaces and harms nobody."""

import contextlib
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from cnnClassifier.errors import ModelError
from cnnClassifier.features.locks import lock_file
from cnnClassifier.features.spaces import DOOMED, keep_below, prune, survey
from cnnClassifier.features.store import FeatureStore
from cnnClassifier.features.terminal import store_report
from environment import clean_environment
from project import copy_project

# Processes of a server that has the libraries loaded, and neither TensorFlow nor threads.
START = multiprocessing.get_context("forkserver")
START.set_forkserver_preload(["pytest", "cnnClassifier.features.store", "cnnClassifier.features.terminal", "project"])
SHARDS = 3


def row_of(key: str) -> np.ndarray:
    """What a network would say of this key: half precision holds it."""
    return np.full((1, 50), int(key.split("-")[0]), np.float32)


def fill(folder: Path, views: int = 1) -> FeatureStore:
    store = FeatureStore(folder, {"network": f"network {folder.name}"})
    for number in range(SHARDS):
        keys = [f"{number}-view{view}" for view in range(views)]
        store.add(keys, np.concatenate([row_of(key) for key in keys]))
    return store


def filled(root: Path, names: str) -> dict[str, Path]:
    """A closed space for each letter, used in that order, an hour apart."""
    folders = {name: root / name for name in names}
    for hours, folder in enumerate(reversed(folders.values())):
        fill(folder)
        used = time.time() - 3600 * (hours + 1)
        os.utime(lock_file(folder), (used, used))
    return folders


def names(root: Path) -> str:
    return "".join(space.folder.name for space in survey(root))


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


# --- what there is ----------------------------------------------------------------------------


def test_an_empty_store_has_no_spaces_and_nothing_to_prune(tmp_path):
    assert survey(tmp_path / "none") == []
    assert prune(tmp_path / "none", 0).removed == []


def test_a_space_is_counted_measured_and_described(tmp_path):
    fill(tmp_path / "a", views=2)
    (space,) = survey(tmp_path)
    assert space.count() == (SHARDS, 2)
    assert space.network == "network a"
    assert space.bytes == sum(file.stat().st_size for file in (tmp_path / "a").iterdir())
    assert not space.in_use


@pytest.mark.parametrize("content", ["", "7", '["network"]'])
def test_a_damaged_description_costs_only_the_words(tmp_path, content):
    fill(tmp_path / "a")
    (tmp_path / "a/space.json").write_text(content)
    assert survey(tmp_path)[0].network == "unknown network"


def test_a_space_is_in_use_while_its_store_is_open(tmp_path):
    store = fill(tmp_path / "a")
    assert survey(tmp_path)[0].in_use
    del store
    assert not survey(tmp_path)[0].in_use


def test_spaces_are_ordered_by_use_and_looking_is_no_use(tmp_path):
    folders = filled(tmp_path, "abc")
    assert names(tmp_path) == names(tmp_path) == "abc"
    FeatureStore(folders["a"]).missing(["x"])
    assert names(tmp_path) == "bca"


def test_a_space_of_before_there_were_locks_is_as_old_as_its_folder(tmp_path):
    folders = filled(tmp_path, "ab")
    lock_file(folders["b"]).unlink()
    os.utime(folders["b"], (1, 1))
    assert names(tmp_path) == "ba"
    assert survey(tmp_path)[0].last_used == 1


# --- pruning ----------------------------------------------------------------------------------


def test_the_spaces_used_longest_ago_go_until_the_rest_fits(tmp_path):
    filled(tmp_path, "abcd")
    size = survey(tmp_path)[0].bytes
    pruned = prune(tmp_path, 2 * size)
    assert "".join(space.folder.name for space in pruned.removed) == "ab"
    assert names(tmp_path) == "cd"
    assert pruned.total == 2 * size


def test_nothing_goes_while_all_fits(tmp_path):
    filled(tmp_path, "ab")
    assert prune(tmp_path, sum(space.bytes for space in survey(tmp_path))).removed == []
    assert names(tmp_path) == "ab"


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


def test_what_killed_runs_left_is_removed_and_whole_shards_stay(tmp_path):
    folder = filled(tmp_path, "a")["a"]
    np.save(folder / "keyless.npy", row_of("1"))
    (folder / "early.npy.partial").write_bytes(b"half")
    (tmp_path / f"b{DOOMED}-1").mkdir()
    (tmp_path / f"b{DOOMED}-1" / "x.npy").write_bytes(b"half removed")
    assert prune(tmp_path, 1e9).leftover_files == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.lock", "prune.lock"]
    assert len(list(folder.iterdir())) == 2 * SHARDS + 1
    assert FeatureStore(folder).missing(["0-view0", "1-view0", "2-view0"]) == set()


def test_a_run_that_outgrows_the_limit_costs_others_and_not_its_own_spaces(tmp_path, caplog):
    folders = filled(tmp_path, "abc")
    began = time.time() - 1
    FeatureStore(folders["b"]).missing(["x"])
    with caplog.at_level("INFO"):
        keep_below(tmp_path, 1, began)
    assert names(tmp_path) == "b"
    told, warned = caplog.messages
    assert "removed 2 spaces" in told
    assert "network a [a], network c [c]" in told
    assert "raise features.limit_gb" in warned


def test_a_run_within_the_limit_says_nothing(tmp_path, caplog):
    filled(tmp_path, "ab")
    keep_below(tmp_path, 1e9, time.time())
    assert names(tmp_path) == "ab"
    assert not caplog.messages


# --- several processes, and kills -------------------------------------------------------------


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


def test_values_refused_leave_no_space_behind(tmp_path):
    with pytest.raises(ModelError):
        FeatureStore(tmp_path / "a").add(["0-x"], np.full((1, 2), np.inf, np.float32))
    assert survey(tmp_path) == []


# --- the command ------------------------------------------------------------------------------


def test_the_command_tells_what_there_is_and_prunes_it(tmp_path):
    project = copy_project(tmp_path / "project", clean_environment())
    root = project.root / ".cache/cnnClassifier/features"
    filled(root, "ab")
    shown = " ".join(project.main("features").stdout.split())
    assert "network a" in shown
    assert f"{SHARDS} x 1" in shown
    assert "2 spaces, 0.00 GB of 20.00 GB allowed" in shown
    size = survey(root)[0].bytes
    done = project.main("features", "--prune", "--limit-gb", f"{1.5 * size / 1e9:.12f}")
    assert "removed 1 spaces" in done.stderr
    assert names(root) == "b"


def test_a_store_beyond_its_limit_says_what_to_type(tmp_path):
    filled(tmp_path, "a")
    total = store_report(tmp_path, 1).renderables[-1]
    assert "python main.py features --prune makes it smaller" in str(total)
