"""The pool of workers on a Ray cluster keeps all of them, whatever they wait for."""

import os
import time

import pytest
from ray_nodes import SETTINGS

from cnnClassifier.ray_cluster import Cluster, connected, pool

pytestmark = pytest.mark.cluster

LATE, PARTS = 10, 80  # how many parts come late, one by one, and of how many: so many that a late worker has some left


def test_workers_that_waited_for_their_parts_are_all_at_work_in_the_end(cluster, node, monkeypatch):
    class Reader:  # here, so that it is sent whole: nodes do not have this module
        def __call__(self, part):
            time.sleep(1 if part["number"][0].as_py() < LATE else 0)
            return part

    class Worker:
        def __call__(self, part):
            time.sleep(0.5)
            return part.append_column("worker", [[os.getpid()] * len(part)])

    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    asked = Cluster(cluster[0])
    with connected(asked) as ray:
        parts = ray.data.from_items([{"number": number} for number in range(PARTS)], override_num_blocks=PARTS)
        come = parts.map_batches(Reader, **pool(ray, asked, 1) | {"num_cpus": 0})
        answers = list(come.map_batches(Worker, **pool(ray, asked, PARTS, waiting=1)).iter_rows())
    assert sorted(answer["number"] for answer in answers) == list(range(PARTS))
    assert len({answer["worker"] for answer in answers[-LATE:]}) == 2
