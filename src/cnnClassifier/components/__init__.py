"""One component a stage: its own section of params.yaml plus the paths, and a `run()`.

Components never import each other; files are their interface. STAGES names them in pipeline
order; the modules are imported only when a stage runs, since some bring TensorFlow.
"""

from importlib import import_module
from typing import Any

from cnnClassifier.components.base import Component

STAGES: dict[str, str] = {
    "data_ingestion": "DataIngestion",
    "data_audit": "DataAudit",
    "prepare_base_model": "PrepareBaseModel",
    "training": "Training",
    "evaluation": "Evaluation",
    "registration": "Registration",
}


def load_component(stage: str) -> type[Component[Any]]:
    """The component class of a stage: module and stage share one name."""
    component: type[Component[Any]] = getattr(import_module(f"{__name__}.{stage}"), STAGES[stage])
    return component
