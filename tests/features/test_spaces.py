"""The feature store as a whole: what it holds, and that pruning takes the right spaces."""

import os
import time

import numpy as np
import pytest
from filled_spaces import SHARDS, fill, filled, names, row_of

from cnnClassifier.errors import ModelError
from cnnClassifier.features.locks import lock_file
from cnnClassifier.features.spaces import DOOMED, keep_below, prune, survey
from cnnClassifier.features.store import FeatureStore
from cnnClassifier.features.terminal import store_report
from environment import clean_environment
from project import copy_project

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


def test_values_refused_leave_no_space_behind(tmp_path):
    with pytest.raises(ModelError):
        FeatureStore(tmp_path / "a").add(["0-x"], np.full((1, 2), np.inf, np.float32))
    assert survey(tmp_path) == []


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
