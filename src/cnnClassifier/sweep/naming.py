"""What a result of a trial or a candidate depends on, for names under which it is found again."""

from collections.abc import Sequence
from typing import Any

from cnnClassifier.config.types import Settings
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.files import file_sha256
from cnnClassifier.sweep.plan import SweepPlan
from cnnClassifier.sweep.space import SWEPT
from cnnClassifier.tracking.values import digest_of


def study_name(name: str, plan: SweepPlan, base: Settings, records: Sequence[ImageRecord]) -> str:
    """Names what makes trials comparable: images, groups and votes, base parameters, the space and how it is judged.

    How many trials are wanted is no part of it, so that more can be asked for; nor is the code.
    """
    judged = plan.model_dump(mode="json", exclude={"trials"})
    return f"{name}-{digest_of([lines_of(records), swept_sections(base), judged])}"


def lines_of(records: Sequence[ImageRecord]) -> list[str]:
    """What results depend on of each image: bytes, label, group, and votes where there are any."""
    return sorted(" ".join(map(str, [each.sha256, each.label, each.group, *each.votes])) for each in records)


def swept_sections(settings: Settings) -> dict[str, Any]:
    """The sections that trials and candidates may differ in, with the digest of a file of weights that they name."""
    sections = settings.model_dump(mode="json", include=set(SWEPT))
    file = settings.prepare_base_model.weights_file
    return sections | ({"weights_sha256": file_sha256(file)} if file and file.is_file() else {})
