"""One candidate after the other through the sweep's judge; what is finished is kept and not trained again."""

import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cnnClassifier.errors import CnnClassifierError
from cnnClassifier.files import read_json, write_json
from cnnClassifier.metrics.predictions import Predictions, read_predictions, write_predictions
from cnnClassifier.modeling import build_classifier, count_parameters
from cnnClassifier.selection.plan import Candidate
from cnnClassifier.sweep.interrupt import remembered_interrupts
from cnnClassifier.sweep.judging import Bench, judge
from cnnClassifier.sweep.naming import swept_sections
from cnnClassifier.tracking.values import digest_of

RESULT, TABLE, SCRATCH = "result.json", "out_of_fold.csv", "scratch"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """A candidate after training: its grouped_cv `metrics`, and the out-of-fold predictions they rest on.

    `parameters` and `trainable` count weights; `seconds` are those of the call that finished it.
    """

    candidate: Candidate
    metrics: dict[str, float]
    epochs: int
    seconds: float
    parameters: int
    trainable: int
    started: datetime
    ended: datetime
    out_of_fold: Predictions


def judge_all(candidates: Sequence[Candidate], bench: Bench, folder: Path) -> Iterator[Judged]:
    """Each candidate's result, in their order: from `folder` if it is finished there, else trained now.

    All that are still to be trained are built before the first is trained, so that missing weights or an unknown layer
    are told at once and not after hours. Errors name the candidate.
    """
    places = {each.name: folder / _key(each, bench) for each in candidates}
    counts = {
        each.name: _count_parameters(each, bench) for each in candidates if not (places[each.name] / RESULT).is_file()
    }
    with remembered_interrupts() as interrupted:
        for number, candidate in enumerate(candidates, start=1):
            if interrupted.is_set():
                raise KeyboardInterrupt
            title, place = f"candidate {number} of {len(candidates)}, {candidate.name}", places[candidate.name]
            if candidate.name in counts:
                log.info("%s: training", title)
                _train(candidate, bench, place, counts[candidate.name])
            else:
                log.info("%s: trained before, in %s", title, place)
            yield _read(candidate, place)


def _key(candidate: Candidate, bench: Bench) -> str:
    """Names everything that a candidate's result depends on but the code: rows and columns of its table, too."""
    images = [bench.classes.names, *([r.path, r.sha256, r.label, r.group, r.votes] for r in bench.records)]
    return f"{candidate.name}-{digest_of([images, swept_sections(candidate.settings)])}"


def _count_parameters(candidate: Candidate, bench: Bench) -> dict[str, int]:
    try:
        return count_parameters(build_classifier(candidate.settings.prepare_base_model, len(bench.classes.names)))
    except CnnClassifierError as error:
        raise type(error)(f"candidate {candidate.name}: {error}") from None


def _train(candidate: Candidate, bench: Bench, folder: Path, counts: dict[str, int]) -> None:
    started, clock = datetime.now(UTC), time.monotonic()
    try:
        (deal,) = judge(candidate.settings, bench, 1, folder / SCRATCH)
    except CnnClassifierError as error:
        raise type(error)(f"candidate {candidate.name}: {error}") from None
    write_predictions(bench.records, deal.probabilities, bench.classes.names, folder / TABLE, deal.fold)
    result: dict[str, Any] = {
        "metrics": deal.metrics,
        "epochs": deal.epochs,
        "seconds": round(time.monotonic() - clock, 2),
        "parameters": counts["total"],
        "trainable": counts["trainable"],
        "started": started.isoformat(),
        "ended": datetime.now(UTC).isoformat(),
    }
    write_json(result, folder / RESULT)  # last: with it the candidate is finished
    shutil.rmtree(folder / SCRATCH)


def _read(candidate: Candidate, folder: Path) -> Judged:
    kept: dict[str, Any] = read_json(folder / RESULT)
    kept |= {key: datetime.fromisoformat(kept[key]) for key in ("started", "ended")}
    return Judged(candidate, **kept, out_of_fold=read_predictions(folder / TABLE, "compare"))
