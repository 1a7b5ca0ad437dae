"""Scoring from the list to the last part, on this machine or on a cluster; killed, it goes on where it stopped."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cnnClassifier import DISCLAIMER
from cnnClassifier.asking.models import choose_model
from cnnClassifier.batching import progress
from cnnClassifier.config.types import ProjectConfig
from cnnClassifier.cores import usable_cores
from cnnClassifier.destinations import check_outside
from cnnClassifier.inference import Classifier
from cnnClassifier.ray_cluster import Cluster
from cnnClassifier.scoring.addresses import absolute, list_addresses
from cnnClassifier.scoring.answering import Answered, Pace, answer_parts
from cnnClassifier.scoring.folder import Asked, ScoredFolder, open_folder
from cnnClassifier.scoring.plan import Part
from cnnClassifier.scoring.rows import ERROR
from cnnClassifier.shipped import load_project_anywhere
from cnnClassifier.web.memory import give_memory_back

MILLION = 1_000_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """What the command line asks for, beside what is scored and where the answers go."""

    model: str | None = None
    package: Path | None = None
    images: str | None = None
    batch: int = 1
    threads: int | None = None
    readers: int = 4
    part: int = 500


def score_images(source: str, out: Path, wish: Wish, cluster: Cluster | None = None) -> int:
    """Answer for what is not answered yet; how many files of the whole folder could not be read.

    Raises ConfigError for a folder of answers within the folder of images: the next run would take them for images.
    """
    source = absolute(source)
    if Path(source).is_dir():
        check_outside(out, Path(source))
    project = load_project_anywhere()
    # Before there is a folder of answers: a source that is none leaves nothing behind.
    addresses = list_addresses(source, _base(source, wish, project))
    chosen = choose_model(project, wish.model, wish.package)
    classifier = Classifier.load(chosen.folder, chosen.name, chosen.version, threads=1)
    del chosen  # opened for all cores, where one core makes a pass here
    give_memory_back()
    asked = Asked(classifier.name, classifier.version, classifier.digest)
    with open_folder(out, asked) as scored:
        added = scored.plan.extend(addresses, wish.part)
        finished = scored.finished()
        waiting = scored.plan.count(without=finished)
        log.info("%s: %d files, %d of them new; %d to be answered", source, scored.plan.count(), added, waiting)
        cores = cluster.threads if cluster else wish.threads or usable_cores()
        pace = Pace(wish.batch, wish.readers, project.serving.max_megapixels * MILLION, cores)
        with progress(waiting, "score") as done:
            parts = scored.plan.parts(without=finished)
            for part in _answers(classifier, parts, pace, cluster, done):
                scored.save(part.number, part.parquet)
        return _say(scored, classifier)


def _answers(
    classifier: Classifier,
    parts: Iterator[Part],
    pace: Pace,
    cluster: Cluster | None,
    done: Callable[[int], object],
) -> Iterator[Answered]:
    if cluster is None:
        return answer_parts(classifier, parts, pace, done)
    from cnnClassifier.scoring.cluster import answer_on_cluster

    return answer_on_cluster(cluster, classifier, parts, pace, done)


def _base(source: str, wish: Wish, project: ProjectConfig) -> str:
    """What relative paths of a manifest are below: the project's images for its own manifests, else the manifest."""
    if wish.images:
        return absolute(wish.images)
    own = [str(path.absolute()) for path in (project.paths.manifest, project.paths.audited_manifest)]
    return str(project.paths.images.absolute() if source in own else Path(source).parent)


def _say(scored: ScoredFolder, classifier: Classifier) -> int:
    """Tell what is in the folder now; how many rows are errors."""
    states = scored.states()
    counts = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items())) or "nothing"
    log.info("%s version %s, %s: %s", classifier.name, classifier.version, scored.folder, counts)
    if classifier.spec.synthetic:
        log.warning("this model learned from drawn pictures: what it says of a real one means nothing")
    log.info(DISCLAIMER)
    return states[ERROR]
