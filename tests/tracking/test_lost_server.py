import logging
import os
import time

import pytest
from finished_project import EPOCHS

from cnnClassifier.tracking.connection import connect
from cnnClassifier.tracking.run import open_run, record_stage
from mlflow_servers import old_server

pytestmark = pytest.mark.server


@pytest.fixture
def mortal(tmp_path):
    server = old_server(tmp_path / "server").start()
    yield server
    server.kill()


def test_training_outlives_the_server_and_everything_is_logged_once_afterwards(
    mortal, settings, paths, tracking, caplog
):
    os.environ["MLFLOW_TRACKING_URI"] = mortal.wait()
    server = connect(tracking)
    run = open_run(server, settings, paths.cache)
    run.log_stage("data_ingestion", paths)
    run.log_epoch(0, EPOCHS[0])

    mortal.kill()
    started = time.monotonic()
    with caplog.at_level(logging.WARNING, "cnnClassifier"):
        for epoch, metrics in enumerate(EPOCHS[1:], start=1):
            run.log_epoch(epoch, metrics)
    assert len(caplog.messages) == 1
    assert time.monotonic() - started < 10
    record_stage(server, settings, paths, "training")

    mortal.start().wait()
    later = open_run(server, settings, paths.cache)
    assert later.run_id == run.run_id
    later.complete(paths)
    later.finish()
    for name in ("loss", "val_loss"):
        history = server.client.get_metric_history(run.run_id, name)
        assert sorted((each.step, each.value) for each in history) == [(i, row[name]) for i, row in enumerate(EPOCHS)]
    logged = server.client.get_run(run.run_id)
    assert logged.info.status == "FINISHED"
    assert logged.data.metrics["published.accuracy"] == 0.9
    assert len(server.client.get_metric_history(run.run_id, "published.accuracy")) == 1
