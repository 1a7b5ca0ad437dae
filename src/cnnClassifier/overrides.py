"""Values of params.yaml changed from the command line: checked as a whole first, then written with comments kept.

There is no second place for them: what a run used is what params.yaml says, and DVC sees the change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from cnnClassifier.config.loading import PARAMS_FILE, load_settings, parse_yaml, validate
from cnnClassifier.config.section import Section
from cnnClassifier.config.types import PrepareBaseModelConfig, Settings
from cnnClassifier.config.writing import changed_yaml
from cnnClassifier.errors import ConfigError
from cnnClassifier.files import write_text
from cnnClassifier.importing import heavy_imports

MODEL_FILES = (".h5", ".keras")  # what a model's name may end in elsewhere; here it is a name in the registry
USUAL_BACKBONE = "MobileNetV2"  # for transfer learning where the present network has no pretrained weights


@dataclass(frozen=True)
class Change:
    """One value of params.yaml: its dotted key, what it was (a default, where the file does not say) and is to be."""

    key: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.key}: {_shown(self.old)} -> {_shown(self.new)}"


@dataclass(frozen=True)
class Edit:
    """What is to change in a params file, and its text with that done. Nothing is written before `write_to`."""

    changes: tuple[Change, ...]
    text: str

    def write_to(self, path: Path) -> None:
        """Make it the content of a file, if there is any change."""
        if self.changes:
            write_text(self.text, path)


def plan_edit(wanted: Mapping[str, Any], path: Path = PARAMS_FILE) -> Edit:
    """The edit that gives params.yaml these values, by dotted key; those it has already are no change.

    Raises ConfigError naming the key for a value that is not allowed, alone or beside the others.
    """
    before = load_settings(path)
    changes = [Change(key, value_of(before, key), new) for key, new in wanted.items()]
    changes = [change for change in changes if change.old != change.new]
    text = path.read_text(encoding="utf-8")
    if changes:
        text = changed_yaml(text, {change.key: change.new for change in changes})
    validate(parse_yaml(text, path), Settings, path)
    return Edit(tuple(changes), text)


def for_model_name(name: str) -> dict[str, Any]:
    """The values for a model's name; the ending of a model file is left out."""
    return {"registration.name": PurePath(name).stem if name.endswith(MODEL_FILES) else name}


def for_network(present: PrepareBaseModelConfig, backbone: str | None, transfer: bool | None) -> dict[str, Any]:
    """The values for another backbone, and for transfer learning (pretrained, frozen) or none (all of it trained).

    What belongs to the present backbone alone is left behind with it: its inner layers, and where it is cut.
    Raises ConfigError for a backbone that is not known, or has nothing to transfer.
    """
    values: dict[str, Any] = {}
    name = present.backbone if backbone is None else _known(backbone)
    if transfer and not _has_weights(name) and backbone is None:
        name = USUAL_BACKBONE
    if name != present.backbone:
        values = {"backbone": name, "head.also": []}
        values["freeze"] = present.freeze if present.freeze in ("all", "none") else "all"
        # Pretrained as before, but "bundled" and files are weights of the present backbone.
        values["weights"] = "imagenet" if present.weights != "none" and _has_weights(name) else "none"
        if values["weights"] == "none":
            values["freeze"] = "none"
    if transfer is False:
        values |= {"weights": "none", "freeze": "none"}
    elif transfer:
        weights = values.get("weights", present.weights)
        freeze = values.get("freeze", present.freeze)
        if weights == "none" and not _has_weights(name):
            raise ConfigError(
                f"--transfer-learning: {name} has no pretrained weights; name a backbone that has, as "
                f"`--backbone {USUAL_BACKBONE}`, or train all of it with `--no-transfer-learning`"
            )
        values["weights"] = "imagenet" if weights == "none" else weights
        values["freeze"] = "all" if freeze == "none" else freeze
    if present.precision == "int8" and values.get("freeze", present.freeze) != "all":
        values["precision"] = "float32"  # eight bits are for a network that stands still
    return {f"prepare_base_model.{key}": value for key, value in values.items()}


def value_of(settings: Section, key: str) -> Any:
    """The value that a dotted key has, as plain data."""
    content: Any = settings.model_dump(mode="json")
    for step in key.split("."):
        content = content[step]
    return content


def _known(backbone: str) -> str:
    with heavy_imports():
        from cnnClassifier.backbones import find_backbone
    find_backbone(backbone)
    return backbone


def _has_weights(backbone: str) -> bool:
    """Whether Keras has pretrained weights for it: of the project's own networks there are none."""
    with heavy_imports():
        from cnnClassifier.backbones import find_backbone
    return bool(find_backbone(backbone).constructor)


def _shown(value: Any) -> str:
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
