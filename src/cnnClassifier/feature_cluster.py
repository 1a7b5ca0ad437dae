"""Features computed on a Ray cluster: actors run the frozen part in eight bits on images that are sent to them.

Network and images come from this machine and features come back to it, so nodes need no folder in common, no
TensorFlow and no credentials. What a lost node did twice comes once.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cnnClassifier.augmentation import AnyView
from cnnClassifier.batching import batches
from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.errors import DataError
from cnnClassifier.features.extraction import Item, features_of, prepare_view, read_image
from cnnClassifier.inference import open_session
from cnnClassifier.ray_cluster import WAVE, Cluster, connected, pool, tell_if_busy

PART = 16  # images that a worker is given at a time
READERS = 2  # processes on this machine that read parts ahead of the workers

ASKED = {"key": pa.string(), "path": pa.string(), "sha256": pa.string(), "view": pa.int64()}
READ = pa.schema({**ASKED, "data": pa.binary(), "error": pa.string()})
ANSWERED = pa.schema({"key": pa.string(), "features": pa.binary(), "error": pa.string()})

Feature = tuple[str, np.ndarray]


class Extractor:
    """An actor: the frozen network, opened once, asked about one part at a time."""

    def __init__(self, network: Any, views: list[AnyView], spec: PreprocessingSpec, threads: int) -> None:
        import ray

        with tempfile.TemporaryDirectory(prefix="cnnClassifier-") as folder:
            file = Path(folder) / "network.onnx"
            file.write_bytes(ray.get(network))
            self._session = open_session(file, threads)
        self._views = views
        self._spec = spec

    def __call__(self, part: pa.Table) -> pa.Table:
        """Columns READ in, columns ANSWERED out."""
        return answer_part(part, self._session, self._views, self._spec)


def extract_on_cluster(
    cluster: Cluster, network: Path, spec: PreprocessingSpec, images: Path, lacking: Mapping[str, Item]
) -> Iterator[Feature]:
    """Key and features, float32 (d,), of each item once, in the order in which they come.

    `network` is an ONNX file whose features are vectors. Raises ConfigError if Ray is not installed or no cluster
    answers, DataError for an image that cannot be read.
    """
    views = list(dict.fromkeys(view for _, view in lacking.values()))
    with connected(cluster) as ray:
        tell_if_busy(ray, cluster)
        made = {"network": ray.put(network.read_bytes()), "views": views, "spec": spec, "threads": cluster.threads}
        for wave in batches(batches(lacking.items(), PART), WAVE):
            rows = [_row(key, item, views) for key, item in chain.from_iterable(wave)]
            answers = (
                ray.data.from_items(rows, override_num_blocks=len(wave))
                .map_batches(read_part, fn_kwargs={"images": images.absolute()}, **_reading(ray))
                .map_batches(Extractor, fn_constructor_kwargs=made, **pool(ray, cluster, len(wave)))
            )
            for row in answers.iter_rows():
                if row["error"]:
                    raise DataError(row["error"])
                yield row["key"], np.frombuffer(row["features"], np.float32)


def _row(key: str, item: Item, views: Sequence[AnyView]) -> dict[str, Any]:
    record, view = item
    return {"key": key, "path": record.path, "sha256": record.sha256, "view": views.index(view)}


def read_part(part: pa.Table, images: Path) -> pa.Table:
    """Columns ASKED in, columns READ out: each file's bytes, or why there are none."""
    return pa.Table.from_pylist([{**row, **_read(images, row["path"])} for row in part.to_pylist()], READ)


def answer_part(part: pa.Table, session: Any, views: Sequence[AnyView], spec: PreprocessingSpec) -> pa.Table:
    """Columns READ in, columns ANSWERED out: each image's features, float32 laid flat, or why there are none."""
    rows = part.to_pylist()
    return pa.Table.from_pylist([{**row, **_answer(row, session, views, spec)} for row in rows], ANSWERED)


def _read(images: Path, path: str) -> dict[str, Any]:
    try:
        return {"data": read_image(images, path)}
    except DataError as error:
        return {"error": str(error)}


def _answer(row: dict[str, Any], session: Any, views: Sequence[AnyView], spec: PreprocessingSpec) -> dict[str, Any]:
    if row["error"]:
        return {}
    try:
        pixels = prepare_view(row["data"], row["path"], views[row["view"]], spec, row["sha256"])
    except DataError as error:
        return {"error": str(error)}
    return {"features": features_of(session, pixels[np.newaxis])[0].tobytes()}


def _reading(ray: Any) -> dict[str, Any]:
    """Options of `map_batches` for what reads files: here, where they are, and beside workers that have all cores."""
    return {
        "batch_size": None,
        "batch_format": "pyarrow",
        "compute": ray.data.TaskPoolStrategy(READERS),
        "num_cpus": 0,
        "label_selector": {"ray.io/node-id": ray.get_runtime_context().get_node_id()},
    }
