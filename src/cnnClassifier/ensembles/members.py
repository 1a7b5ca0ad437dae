"""Which models an ensemble is made of: found in the registry, fetched, and checked to fit together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cnnClassifier.errors import ConfigError, ModelError
from cnnClassifier.metrics.predictions import Predictions, read_predictions
from cnnClassifier.model_spec import ModelSpec, read_spec
from cnnClassifier.tracking import registry
from cnnClassifier.tracking.connection import Connection
from cnnClassifier.tracking.registry import RegisteredModel

MEMBER = re.compile(r"(?P<name>[A-Za-z0-9_-]+)(?:@(?P<alias>[A-Za-z0-9_-]+)|/(?P<version>[0-9]+))?")


@dataclass(frozen=True)
class Member:
    """A registered model with its package; `out_of_fold` is None where its run keeps none."""

    registered: RegisteredModel
    package: Path
    spec: ModelSpec
    out_of_fold: Predictions | None

    @property
    def title(self) -> str:
        """As people call it."""
        return f"{self.registered.name} version {self.registered.version}"


def find_member(connection: Connection, asked: str) -> RegisteredModel:
    """The version that `model`, `model@alias` or `model/version` means; without either, the champion.

    ConfigError for another form, ModelError if there is no such version.
    """
    parts = MEMBER.fullmatch(asked)
    if parts is None:
        raise ConfigError(f"ensemble: expected model, model@alias or model/version. Received: {asked!r}")
    if version := parts["version"]:
        return registry.find_version(connection, parts["name"], int(version))
    alias = parts["alias"] or registry.CHAMPION
    found = registry.find(connection, parts["name"], alias)
    if found is None:
        raise ModelError(f"{connection.title}: no model {parts['name']}@{alias}; run the pipeline to register one")
    return found


def fetch_member(connection: Connection, found: RegisteredModel, served: Path, table: str, scratch: Path) -> Member:
    """Fetch a version's package to `served`, and the artifact `table` of its run, its out-of-fold predictions."""
    package = registry.download_version(connection, found, served).folder
    folder = scratch / f"{found.name}-{found.version}"
    folder.mkdir(parents=True)
    file = registry.fetch_file(connection, found.run_id, table, folder)
    return Member(found, package, read_spec(package), read_predictions(file, "training") if file else None)


def check_versions(found: Sequence[RegisteredModel]) -> None:
    """Raise ConfigError unless there are two versions or more, each once."""
    titles = [f"{each.name}/{each.version}" for each in found]
    if len(found) < 2:
        raise ConfigError(f"ensemble: an ensemble has two members or more. Received: {', '.join(titles)}")
    if twice := sorted({title for title in titles if titles.count(title) > 1}):
        raise ConfigError(f"ensemble: {', '.join(twice)} is named twice; a member counts once")


def check_alike(members: Sequence[Member]) -> None:
    """Raise ModelError unless all tell the same classes apart, in the same order, from equally prepared pictures."""
    for one, other in pairwise(members):
        if one.spec.classes != other.spec.classes:
            raise ModelError(
                f"an ensemble's members must have the same classes in the same order: {one.title} has "
                f"{', '.join(one.spec.classes)}, and {other.title} has {', '.join(other.spec.classes)}"
            )
        mine, theirs = one.spec.preprocessing.model_dump(), other.spec.preprocessing.model_dump()
        if differ := [f"{key} {mine[key]} and {theirs[key]}" for key in mine if mine[key] != theirs[key]]:
            raise ModelError(
                f"an ensemble's members must take equally prepared pictures, and {one.title} and {other.title} differ "
                f"in {'; '.join(differ)}: train one with the other's prepare_base_model.preprocessing"
            )


def why_incomparable(members: Sequence[Member]) -> str:
    """What keeps the members' out-of-fold predictions from being joined; empty if nothing does.

    They must be of the same images with the same labels and groups in the same folds: only then is their mean, too,
    said of each image by models that saw nobody of its group.
    """
    for member in members:
        if member.out_of_fold is None or member.out_of_fold.folds is None:
            return f"the run of {member.title} keeps no out-of-fold predictions"
        if member.out_of_fold.classes != member.spec.classes:
            return f"the out-of-fold predictions of {member.title} are of other classes"
    for one, other in pairwise(members):
        if _images(one) != _images(other):
            return f"{one.title} and {other.title} were not cross-validated on the same images in the same folds"
    return ""


def _images(member: Member) -> list[tuple[str, str, str, int]]:
    table = member.out_of_fold
    if table is None or table.folds is None:
        return []
    return list(zip(table.sha256, table.labels, table.groups.tolist(), table.folds.tolist(), strict=True))
