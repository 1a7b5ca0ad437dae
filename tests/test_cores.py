import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnClassifier.cores import usable_cores


def with_limit(root: Path, limit: str, group: str = "/") -> Path:
    """A root of the file system, in which this process' group has that limit."""
    own = root / "sys/fs/cgroup" / group.lstrip("/")
    own.mkdir(parents=True)
    (own / "cpu.max").write_text(f"{limit}\n")
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"0::{group}\n")
    return root


@pytest.mark.parametrize(("limit", "cores"), [("50000 100000", 1), ("100000 100000", 1), ("110000 100000", 2)])
def test_a_container_has_the_cores_that_its_limit_pays_for(tmp_path, monkeypatch, limit, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert usable_cores(with_limit(tmp_path, limit)) == cores


def test_the_limit_is_that_of_its_own_group(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert usable_cores(with_limit(tmp_path, "300000 100000", "/system.slice/cnnclassifier.service")) == 3


@pytest.mark.parametrize("limit", ["max 100000", "odd"])
def test_without_a_limit_all_that_it_may_run_on_count(tmp_path, limit):
    assert usable_cores(with_limit(tmp_path, limit)) == len(os.sched_getaffinity(0))


def test_where_there_are_no_groups_too(tmp_path):
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))


def test_a_process_that_is_bound_to_one_core_has_one():
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    program += "from cnnClassifier.cores import usable_cores; print(usable_cores())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
