"""How the pipeline's run ends where registration does not finish it: a stage failed, or DVC skipped registration."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.environment import environment
from cnnClassifier.errors import TrackingError
from cnnClassifier.files import read_json
from cnnClassifier.tracking.client import tracking_errors
from cnnClassifier.tracking.connection import IMPATIENT, Connection
from cnnClassifier.tracking.run import PipelineRun, open_run, unfinished_run

log = logging.getLogger(__name__)

FAILED, KILLED = "FAILED", "KILLED"
UNCHANGED_TAG = "registration.unchanged"


@contextmanager
def failure_recorded(run: PipelineRun) -> Iterator[None]:
    """For the length of a block, an error makes the run FAILED and Ctrl+C makes it KILLED; both are raised on."""
    try:
        yield
    except BaseException as error:
        _mark(run.connection, run.run_id, KILLED if isinstance(error, KeyboardInterrupt) else FAILED)
        raise


def finish_skipped(connection: Connection, settings: Settings, paths: Paths) -> None:
    """Log what an unfinished run of these settings lacks, and finish it; for the end of a pipeline that went well.

    Registration is skipped when the model came out the same as before. The run says which version that is.
    TrackingError if the server is lost: the same command again goes on here.
    """
    if unfinished_run(connection, settings, paths.cache) is None:
        return
    run, registered = open_run(connection, settings, paths.cache), read_json(paths.registration)
    same = f"{registered['name']} version {registered['version']} of run {registered['run_id']}"
    run.complete(paths)
    run.log_results([], {}, {UNCHANGED_TAG: same})
    run.finish()
    log.info("nothing new was registered: the model is still %s. The run %s says so", same, run.run_id)


def _mark(connection: Connection, run_id: str, status: str) -> None:
    """Say how a running run ended; a server that is lost must not hide why the stage failed."""
    try:
        with tracking_errors(connection.uri, f"mark the run as {status}"), environment(**IMPATIENT):
            if connection.client.get_run(run_id).info.status == "RUNNING":
                connection.client.set_terminated(run_id, status)
    except TrackingError as error:
        log.warning("%s", error)
