"""Parts answered on a Ray cluster: Ray Data hands them to a pool of actors, each with the model loaded once.

Nodes need this project's serving libraries, pyarrow and Ray; code and model come from here, with no registry asked.
Answers come back here and are written here: nodes need no folder in common, and what a lost node did twice is one part.
"""

import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

import cnnClassifier
from cnnClassifier.batching import batches
from cnnClassifier.errors import ConfigError
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ONNX_FILE, OUTLIERS_FILE, SPEC_FILE
from cnnClassifier.scoring.answering import Answered, Pace, answer_parts
from cnnClassifier.scoring.plan import Part

WAVE = 2000  # parts handed over together: their addresses are in this process' memory, a million images' at most
CONNECT_SECONDS = 10
PACKAGE_FILES = (ONNX_FILE, SPEC_FILE, OUTLIERS_FILE)

log = logging.getLogger(__name__)


class Scorer:
    """An actor: one loaded model, asked about one part at a time."""

    def __init__(self, package: Any, name: str, version: str, pace: Pace) -> None:
        import ray

        with tempfile.TemporaryDirectory(prefix="cnnClassifier-") as folder:
            for file, content in ray.get(package).items():
                (Path(folder) / file).write_bytes(content)
            self._classifier = Classifier.load(Path(folder), name, version, threads=1)
        self._pace = pace

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Columns `number` and `addresses` in, one row a part; columns `number`, `parquet` and `rows` out."""
        parts = (Part(row["number"], tuple(row["addresses"])) for row in batch.to_pylist())
        done = list(answer_parts(self._classifier, parts, self._pace))
        return pa.table(
            {
                "number": [part.number for part in done],
                "parquet": pa.array([part.parquet for part in done], pa.binary()),
                "rows": [part.rows for part in done],
            }
        )


def answer_on_cluster(
    address: str,
    workers: int | None,
    classifier: Classifier,
    parts: Iterator[Part],
    pace: Pace,
    progress: Callable[[int], object],
) -> Iterator[Answered]:
    """Each part's answers once, in the order in which they come; `Pace.cores` for each of the `workers`.

    Raises ConfigError if Ray is not installed or no cluster answers at `address`.
    """
    ray = _connect(address)
    try:
        room = max(1, int(ray.cluster_resources().get("CPU", 1)) // pace.cores)
        package = ray.put(_package(classifier.folder))
        made = {"package": package, "name": classifier.name, "version": classifier.version}
        for wave in batches(parts, WAVE):
            most = min(workers or room, len(wave))
            rows = [{"number": part.number, "addresses": list(part.addresses)} for part in wave]
            answers = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
                Scorer,
                fn_constructor_kwargs={**made, "pace": pace},
                batch_size=1,
                batch_format="pyarrow",
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most),
                num_cpus=pace.cores,
            )
            for row in answers.iter_rows():
                progress(row["rows"])
                yield Answered(row["number"], row["parquet"], row["rows"])
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Its C++ part warns that the model may be lost while actors restart: this process holds it. Errors are raised here.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError("--ray needs Ray: pip install '.[ray]'") from None
    _check_reachable(address)
    # The nodes get this code, so that they answer as this process would.
    runtime = {"py_modules": [str(Path(cnnClassifier.__file__).parent)], "env_vars": {"OPENBLAS_NUM_THREADS": "1"}}
    try:
        ray.init(address, runtime_env=runtime, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"--ray {address}: no cluster answers there: {reason}; see `ray start --help`") from None
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if "/" in host or not port.isdecimal():  # auto, or ray://
        return
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise ConfigError(f"--ray {address}: no cluster answers there: {error}; see `ray start --help`") from None


def _package(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in PACKAGE_FILES if (folder / name).is_file()}
