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
    """Names what makes trials comparable: images and groups, base parameters, the space and how it is judged.

    How many trials are wanted is no part of it, so that more can be asked for; nor is the code.
    """
    images = sorted(f"{record.sha256} {record.label} {record.group}" for record in records)
    return f"{name}-{digest_of([images, swept_sections(base), plan.model_dump(mode='json', exclude={'trials'})])}"


def swept_sections(settings: Settings) -> dict[str, Any]:
    """The sections that trials and candidates may differ in, with the digest of a file of weights that they name."""
    sections = settings.model_dump(mode="json", include=set(SWEPT))
    file = settings.prepare_base_model.weights_file
    return sections | ({"weights_sha256": file_sha256(file)} if file and file.is_file() else {})
