"""A Ray cluster that works for a command of this project: reaching it, and the pool of actors that does the work.

Nodes need this project's serving libraries, pyarrow and Ray; to fit folds, those of training. Its code comes from
here, with no registry asked.
"""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cnnClassifier
from cnnClassifier.errors import ConfigError, one_line

WAVE = 2000  # parts handed over together: the names of their images are in this process' memory
CONNECT_SECONDS = 10

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cluster:
    """A cluster's address, how many of its workers hold the model (None: as many as there is room for), cores each.

    `asked_by` is the option or variable that named it: what errors speak of.
    """

    address: str
    workers: int | None = None
    threads: int = 1
    asked_by: str = "--ray"

    def check_reachable(self) -> None:
        """Raise ConfigError if nothing listens at the address. Ray itself would try for minutes."""
        host, _, port = self.address.replace("[", "").replace("]", "").rpartition(":")
        if "/" in host or not port.isdecimal():  # auto, or ray://
            return
        try:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        except OSError as error:
            raise self.unreachable(error) from None

    def unreachable(self, error: Exception) -> ConfigError:
        """The error for a cluster that does not answer."""
        said = f"{self.asked_by} {self.address}: no cluster answers there: {one_line(error)}"
        return ConfigError(f"{said}; see `ray start --help`")


@contextmanager
def connected(cluster: Cluster) -> Iterator[Any]:
    """The library `ray`, connected until the end of the block.

    Raises ConfigError if Ray is not installed or no cluster answers at the address.
    """
    ray = _connect(cluster)
    try:
        yield ray
    finally:
        ray.shutdown()


def tell_if_busy(ray: Any, cluster: Cluster) -> None:
    """A word where others have all cores: Ray waits for them in silence. To be asked before actors of our own are."""
    if ray.available_resources().get("CPU", 0) < cluster.threads:
        log.warning("the Ray cluster at %s has no core to spare; waiting until there is one", cluster.address)


def pool(ray: Any, cluster: Cluster, parts: int, waiting: int = 2) -> dict[str, Any]:
    """Options of `map_batches` for actors that work at one block at a time, at most one actor for each part.

    The pool is of one size: Ray would dismiss actors that wait for their first parts, and with `waiting` 1 never call
    them back.
    `waiting` is how many blocks an actor is given at once: 1 where a block takes long and others might be idle.
    """
    room = max(1, int(ray.cluster_resources().get("CPU", 1)) // cluster.threads)
    size = min(cluster.workers or room, parts)
    return {
        "batch_size": None,
        "batch_format": "pyarrow",
        "compute": ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=waiting),
        "num_cpus": cluster.threads,
    }


def cores_of_nodes(ray: Any) -> list[int]:
    """The cores of each living node."""
    return [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]


def cores_each(nodes: Sequence[int], parts: int) -> int:
    """The most cores that each of `parts` can have while all are at work at once on nodes of so many cores.

    1 where not all can be. None needs more than the smallest node has, so that any may take the place of a lost one.
    """
    tried = range(min(filter(None, nodes), default=1), 1, -1)
    return next((cores for cores in tried if sum(node // cores for node in nodes) >= parts), 1)


def _connect(cluster: Cluster) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Its C++ part warns that the model may be lost while actors restart: this process holds it. Errors are raised here.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError(f"{cluster.asked_by} needs Ray: pip install '.[ray]'") from None
    cluster.check_reachable()
    # The nodes get this code, so that they answer as this process would.
    runtime = {"py_modules": [str(Path(cnnClassifier.__file__).parent)], "env_vars": {"OPENBLAS_NUM_THREADS": "1"}}
    try:
        ray.init(cluster.address, runtime_env=runtime, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise cluster.unreachable(error) from None
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what else it would log, it raises
    return ray
