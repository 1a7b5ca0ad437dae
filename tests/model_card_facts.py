"""What a model card is written from: settings, audit, metrics and search of a model that was never trained."""

from typing import Any

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.config.types import RegistrationConfig
from cnnClassifier.fit_state import FitState
from cnnClassifier.model_card.card import Registered, card_text
from cnnClassifier.model_spec import ModelSpec

CLASSES = ("ill_defined_mass", "spiculated_mass", "no_finding")
SPEC = ModelSpec(classes=CLASSES, preprocessing=PreprocessingSpec(), backbone="VGG16", weights="imagenet", freeze="all")
CONFIG = RegistrationConfig(
    name="masses",
    description="Three classes of mass.",
    intended_use="Teaching.",
    not_intended_use="Anything about a patient.",
    data_source="Collected by the tests.",
)
REGISTERED = Registered(date="2026-03-01", run_id="0a1b2c", commit="f" * 40)


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.05, "high": value + 0.03}


def protocol(value: float, images: int) -> dict[str, Any]:
    overall = ("accuracy", "balanced_accuracy", "macro_f1", "macro_roc_auc", "macro_pr_auc", "loss")
    per_class = {name: interval(value - 0.01 * place) for place, name in enumerate(("precision", "recall", "f1"))}
    return {
        "images": images,
        "groups": images // 3,
        **{name: interval(value) for name in overall},
        "per_class": {name: {"support": images // 3, **per_class} for name in CLASSES},
        "any_positive": {"sensitivity": interval(0.91), "specificity": interval(0.89)},
    }


METRICS = {
    "published": protocol(0.953, 315),
    "deduplicated": protocol(0.864, 240),
    "grouped_cv": protocol(0.751, 685),
    "data": {"test_sha256": "abc", "synthetic": False},
    "calibration": {
        "temperature": 1.73,
        "ece": {"before": 0.131, "after": 0.027, "by_chance": 0.021},
        "brier": {"before": 0.41, "after": 0.36},
        "log_loss": {"before": 0.92, "after": 0.64},
    },
    "operating": {
        "positive": ["ill_defined_mass", "spiculated_mass"],
        "target_sensitivity": 0.98,
        "threshold": 0.314,
        "sensitivity": interval(0.941),
        "specificity": interval(0.812),
    },
    "conformal": {"nominal": 0.9, "coverage": interval(0.907), "mean_size": 1.42, "singletons": 0.66},
    "gate_of_kind": {"own_refused": 0.012, "kinds": {"photographs": {"auroc": 0.9991, "refused": 0.995}}},
    "controls": {
        "published": {"nearest_neighbour": protocol(0.942, 315), "shortcut": protocol(0.41, 315)},
        "grouped_cv": {"nearest_neighbour": protocol(0.612, 685)},
        "verdicts": ["published: the 1-nearest-neighbour rule (0.942) is as good as the model"],
    },
}
AUDIT = {
    "verdict": "The published test split shares 61 of 315 images with training.",
    "images": {"train": 600, "valid": 0, "test": 315},
    "kept": {"train": 540, "valid": 0, "test": 315},
    "classes": {"train": dict.fromkeys(CLASSES, 200), "valid": dict.fromkeys(CLASSES, 0), "test": {CLASSES[0]: 315}},
    "across_test": {"images": 61, "exact": 46, "near": 15},
    "exact_copies": {"sets": 81, "redundant_images": 153},
    "near_copies": {"pairs": 37},
    "label_conflicts": {"sets": 1},
    "suspects": {"masks": 2, "blank": 0, "in_test": 0},
    "unreadable": 3,
    "imbalance": {"ratio": 1.8, "train": 1.0},
    "shortcuts": {"border": {"balanced_accuracy": interval(0.52), "chance": 0.333333, "flagged": 1}},
    "groups": {"count": 214, "largest": 12, "test_images_of_training_groups": 88},
    "dropped": {"copy of a test image": 41, "mask or blank picture": 2},
    "policy": {"satisfied": True, "broken": []},
}
SEARCH = FitState(
    [
        {"accuracy": 0.61, "loss": 1.02, "val_accuracy": 0.55, "val_loss": 1.11},
        {"accuracy": 0.834, "loss": 0.512, "val_accuracy": 0.707, "val_loss": 0.803},
        {"accuracy": 0.95, "loss": 0.2, "val_accuracy": 0.7, "val_loss": 0.9},
    ]
)


def card(metrics: dict[str, Any] = METRICS, audit: dict[str, Any] = AUDIT, **changes: Any) -> str:
    config, spec = changes.pop("config", CONFIG), changes.pop("spec", SPEC)
    return card_text(config, spec, audit, metrics, changes.pop("registered", REGISTERED), changes.pop("search", None))
