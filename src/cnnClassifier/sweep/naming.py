"""What a result of a trial or a candidate depends on, for names under which it is found again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnClassifier.config.types import Settings
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.files import file_sha256
from cnnClassifier.sweep.plan import SweepPlan
from cnnClassifier.sweep.space import SWEPT, leaves
from cnnClassifier.tracking.values import digest_of

WEIGHTS = "prepare_base_model.weights"


def study_name(name: str, plan: SweepPlan, base: Settings, records: Sequence[ImageRecord]) -> str:
    """Names what makes trials comparable: images, groups and votes, base parameters, the space and how it is judged.

    How many trials are wanted is no part of it, so that more can be asked for; nor is the code.
    """
    judged = plan.model_dump(mode="json", exclude={"trials"}) | _digests(_weights_in(plan))
    return f"{name}-{digest_of([lines_of(records), swept_sections(base), judged])}"


def lines_of(records: Sequence[ImageRecord]) -> list[str]:
    """What results depend on of each image: bytes, label, group, and votes where there are any."""
    return sorted(" ".join(map(str, [each.sha256, each.label, each.group, *each.votes])) for each in records)


def swept_sections(settings: Settings) -> dict[str, Any]:
    """The sections that trials and candidates may differ in, with the digest of a file of weights that they name."""
    sections = settings.model_dump(mode="json", include=set(SWEPT))
    file = settings.prepare_base_model.weights_file
    return sections | _digests([file] if file else [])


def _weights_in(plan: SweepPlan) -> list[Path]:
    """What stands among the choices of a sweep as weights; most are names, and no files."""
    listed = [(name, choices) for name, choices in plan.parameters.items() if isinstance(choices, tuple)]
    given = [leaf for name, choices in listed for choice in choices for leaf in leaves({name: choice})]
    return [Path(value) for name, value in given if name == WEIGHTS and isinstance(value, str)]


def _digests(files: Sequence[Path]) -> dict[str, Any]:
    """Of those that are there; nothing where none is, so that other names stay as they were."""
    found = [file_sha256(file) for file in files if file.is_file()]
    return {"weights_sha256": found} if found else {}
