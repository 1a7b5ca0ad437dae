"""Two machines at one sweep, whose trials are kept in PostgreSQL: none done twice, none lost with the one that dies."""

import csv
import shutil
import signal
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from sweep_project import SweepProject, make_template
from waiting import wait_until

WANTED = 6
HEARD_OF = """
    SELECT count(*) FROM trials JOIN trial_heartbeats USING (trial_id) JOIN trial_user_attributes USING (trial_id)
    WHERE state = 'RUNNING' AND key = 'values'
"""
TRIED = """
    SELECT number, state, string_agg(param_name || '=' || param_value, ' ' ORDER BY param_name)
    FROM trials LEFT JOIN trial_params USING (trial_id) GROUP BY number, state ORDER BY number
"""


@pytest.fixture
def machines(tmp_path) -> list[SweepProject]:
    """Two copies of a project, each with its own caches, as on two machines."""
    first = make_template(tmp_path / "first")
    SweepProject(first).write_sweep(repeats=3)
    second = shutil.copytree(first, tmp_path / "second")
    return [SweepProject(first), SweepProject(Path(second))]


def test_two_machines_share_a_sweep_and_one_of_them_dies(machines, postgres):
    first, second = machines
    storage = postgres.database()
    options = ("--trials", str(WANTED), "--storage", storage)
    with first.process(*options) as doomed, second.process(*options) as other:
        with psycopg.connect(storage, autocommit=True) as database:
            wait_until(lambda: both_at_work(database), doomed, other, seconds=300, pause=0.05)
            doomed.send_signal(signal.SIGKILL)
            doomed.wait()
        shown, errors = other.communicate(timeout=400)
    assert other.returncode == 0, errors
    assert "complete" in shown

    with psycopg.connect(storage) as database:
        tried = database.execute(TRIED).fetchall()
    states = Counter(state for _, state, _ in tried)
    # The dead process' trial is marked, and tried again; two that look at once may begin one more than is wanted.
    assert states["FAIL"] == 1, tried
    assert states["COMPLETE"] in (WANTED, WANTED + 1), tried
    assert set(states) == {"FAIL", "COMPLETE"}
    complete = [values for _, state, values in tried if state == "COMPLETE"]
    assert len(set(complete)) == len(complete), tried
    (killed,) = (values for _, state, values in tried if state == "FAIL")
    assert killed in complete
    assert complete.count(None) == 1  # the parameters as they stand, once

    ((table,),) = [list(second.root.glob(".cache/cnnClassifier/sweeps/*/trials.csv"))]
    with table.open(newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)].count("complete") == states["COMPLETE"]


def both_at_work(database: "psycopg.Connection[tuple[int]]") -> bool:
    try:
        return database.execute(HEARD_OF).fetchone() == (2,)
    except psycopg.errors.UndefinedTable:
        return False
