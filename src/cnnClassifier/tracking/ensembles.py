"""An ensemble's own MLflow run: which members it was made of, and what it is worth."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cnnClassifier.tracking.client import import_mlflow, tracking_errors
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.identity import run_tags
from cnnClassifier.tracking.registry import RegisteredModel
from cnnClassifier.tracking.run import PipelineRun, RunRecord, experiment_id
from cnnClassifier.tracking.values import digest_of

MEMBERS_TAG = "ensemble.members"


@contextmanager
def ensemble_run(
    connection: Connection, name: str, members: Sequence[RegisteredModel], cache: Path
) -> Iterator[PipelineRun]:
    """A run in the experiment of the ensemble's name; finished at the end of the block, failed if it raises."""
    client, param = connection.client, import_mlflow().entities.Param
    said = members_line(members)
    with tracking_errors(connection.uri, "open the ensemble's run"):
        tags = run_tags() | {MEMBERS_TAG: said}
        created = client.create_run(experiment_id(connection, name), tags=tags, run_name=f"ensemble-{name}")
        run_id = str(created.info.run_id)
        client.log_batch(run_id, params=[param("members", said)])
    record = RunRecord(connection.title, name, digest_of(said), run_id)
    run = PipelineRun(connection, record, cache / "tracking" / "ensemble.json")
    try:
        yield run
    except BaseException:
        with tracking_errors(connection.uri, "close the ensemble's run"):
            client.set_terminated(run_id, "FAILED")
        raise
    run.finish()


def members_line(members: Sequence[RegisteredModel]) -> str:
    """`name/version` of each."""
    return ", ".join(f"{each.name}/{each.version}" for each in members)
