"""Which of a stage's files go to the run, and as what. Files are the truth: a run can be told from them."""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnClassifier.config.types import Paths
from cnnClassifier.errors import DataError, TrackingError
from cnnClassifier.files import file_sha256, read_json
from cnnClassifier.tracking.values import DIGEST_LENGTH, Step, legal_name, numbers


@dataclass(frozen=True)
class StageFiles:
    """A stage's files, each by its name in `Paths`, with a slash for a file inside a folder.

    `artifacts` are uploaded as they are (a folder with all in it), `metrics` are JSON files whose numbers
    become metrics under the given prefix, `history` is a CSV of one row an epoch, `dataset` the manifest.
    """

    artifacts: tuple[str, ...]
    metrics: Mapping[str, str] = field(default_factory=dict)
    history: str | None = None
    dataset: str | None = None


@dataclass(frozen=True)
class Artifact:
    """A file to upload and the run's artifact folder it goes to."""

    file: Path
    folder: str


STAGES: Mapping[str, StageFiles] = {
    "data_ingestion": StageFiles(("manifest", "rejected", "classes"), dataset="manifest"),
    "data_audit": StageFiles(("audit", "audited_manifest", "audit_report", "pairs"), metrics={"audit": "audit."}),
    "prepare_base_model": StageFiles(
        ("base_model/summary.txt", "base_model/parameters.json"),
        metrics={"base_model/parameters.json": "parameters."},
    ),
    "training": StageFiles(("history", "training_plots", "out_of_fold"), history="history"),
    "evaluation": StageFiles(("metrics", "evaluation_plots", "predictions", "decision"), metrics={"metrics": ""}),
    "registration": StageFiles(("registration", "model_card")),
}


def missing_files(stage: str, paths: Paths) -> list[Path]:
    """Those of a stage's files and folders that are not there."""
    wanted = (_resolve(name, paths) for name in _files_of(stage).artifacts)
    return [path for path in wanted if not path.exists()]


def artifacts(stage: str, paths: Paths) -> list[Artifact]:
    """Every file to upload, those of a folder in name order."""
    return [each for name in _files_of(stage).artifacts for each in _artifacts_at(_resolve(name, paths), stage)]


def metrics(stage: str, paths: Paths) -> dict[str, float]:
    """A stage's final numbers by metric name; TrackingError if a file is not the JSON it should be."""
    found: dict[str, float] = {}
    for name, prefix in _files_of(stage).metrics.items():
        found |= numbers(_read_results(_resolve(name, paths)), prefix)
    return found


def steps(stage: str, paths: Paths) -> list[Step]:
    """A stage's numbers by epoch; none for a stage without a history."""
    history = _files_of(stage).history
    return list(_read_history(_resolve(history, paths))) if history else []


def dataset(stage: str, paths: Paths) -> Path | None:
    """The manifest, if this is the stage that writes it."""
    name = _files_of(stage).dataset
    return _resolve(name, paths) if name else None


def row_counts(manifest: Path) -> dict[str, int]:
    """How many images a manifest lists, in all and in each split."""
    with manifest.open(newline="", encoding="utf-8") as file:
        splits = Counter(row["split"] for row in csv.DictReader(file))
    return {"num_rows": splits.total()} | {f"num_{name}": splits[name] for name in sorted(splits)}


def files_digest(stage: str, paths: Paths) -> str:
    """16 hex digits that change with the name or content of any of a stage's files."""
    digest = hashlib.sha256()
    for artifact in artifacts(stage, paths):
        digest.update(f"{artifact.folder}/{artifact.file.name}:{file_sha256(artifact.file)};".encode())
    return digest.hexdigest()[:DIGEST_LENGTH]


def _files_of(stage: str) -> StageFiles:
    try:
        return STAGES[stage]
    except KeyError:
        raise TrackingError(f"unknown stage; expected one of {', '.join(STAGES)}. Received: {stage!r}") from None


def _resolve(name: str, paths: Paths) -> Path:
    field_name, _, inside = name.partition("/")
    folder: Path = getattr(paths, field_name)
    return folder / inside


def _artifacts_at(path: Path, stage: str) -> list[Artifact]:
    """The file itself, or every file of a folder under the folder's own name."""
    if not path.is_dir():
        return [Artifact(path, stage)]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return [Artifact(file, f"{stage}/{file.parent.relative_to(path.parent).as_posix()}") for file in files]


def _read_results(path: Path) -> Mapping[str, Any]:
    try:
        results = read_json(path)
    except DataError as error:
        raise TrackingError(str(error)) from None
    if not isinstance(results, Mapping):
        raise TrackingError(f"{path}: expected a JSON object. Received: {type(results).__name__}")
    return results


def _read_history(path: Path) -> Iterator[Step]:
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            epoch = _number(row.pop("epoch", None))
            if epoch is None:
                raise TrackingError(f"{path}, line {line}: no epoch number; was the file cut short?")
            yield from _row_steps(int(epoch), row)


def _row_steps(epoch: int, row: Mapping[str, str | None]) -> Iterator[Step]:
    for name, text in row.items():
        value = _number(text)
        if value is not None:
            yield Step(legal_name(name), epoch, value)


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
