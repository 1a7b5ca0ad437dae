"""Parts answered on a Ray cluster: Ray Data hands them to a pool of actors, each with the model loaded once.

The model comes from here. Answers come back here and are written here: nodes need no folder in common for them, and
what a lost node did twice is one part.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from cnnClassifier.batching import batches
from cnnClassifier.inference import Classifier
from cnnClassifier.model_spec import ONNX_FILE, OUTLIERS_FILE, SPEC_FILE
from cnnClassifier.ray_cluster import WAVE, Cluster, connected, pool, tell_if_busy
from cnnClassifier.scoring.answering import Answered, Pace, answer_parts
from cnnClassifier.scoring.plan import Part

PACKAGE_FILES = (ONNX_FILE, SPEC_FILE, OUTLIERS_FILE)


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
    cluster: Cluster, classifier: Classifier, parts: Iterator[Part], pace: Pace, progress: Callable[[int], object]
) -> Iterator[Answered]:
    """Each part's answers once, in the order in which they come.

    Raises ConfigError if Ray is not installed or no cluster answers at the address.
    """
    with connected(cluster) as ray:
        tell_if_busy(ray, cluster)
        package = ray.put(_package(classifier.folder))
        made = {"package": package, "name": classifier.name, "version": classifier.version}
        for wave in batches(parts, WAVE):
            rows = [{"number": part.number, "addresses": list(part.addresses)} for part in wave]
            answers = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
                Scorer,
                fn_constructor_kwargs={**made, "pace": pace},
                **pool(ray, cluster, len(rows)),
            )
            for row in answers.iter_rows():
                progress(row["rows"])
                yield Answered(row["number"], row["parquet"], row["rows"])


def _package(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in PACKAGE_FILES if (folder / name).is_file()}
