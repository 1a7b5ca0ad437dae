"""prepare_base_model: a backbone with its weights, a new head on it, frozen where configured."""

import logging

from cnnClassifier.components.base import Component
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.datasets.manifest import Classes, read_classes
from cnnClassifier.files import file_sha256, new_folder, write_json, write_text
from cnnClassifier.model_spec import PRETRAINED_DIGEST, ModelSpec
from cnnClassifier.modeling import build_classifier, count_parameters, save_model, summarise

log = logging.getLogger(__name__)


class PrepareBaseModel(Component[PrepareBaseModelConfig]):
    """classes.json -> base model folder, with summary.txt, parameters.json and perhaps weights.sha256 in it."""

    def run(self) -> None:
        """Build the untrained classifier and write it."""
        classes = read_classes(self.paths.classes)
        model = build_classifier(self.config, len(classes.names))
        counts = count_parameters(model)
        with new_folder(self.paths.base_model) as folder:
            save_model(model, base_spec(self.config, classes), folder)
            write_text(summarise(model), folder / "summary.txt")
            write_json(counts, folder / "parameters.json")
            if self.config.weights_file:
                write_text(file_sha256(self.config.weights_file), folder / PRETRAINED_DIGEST)
        log.info(
            "%s: %s parameters, %s of them trainable",
            model.name,
            f"{counts['total']:,}",
            f"{counts['trainable']:,}",
        )


def base_spec(config: PrepareBaseModelConfig, classes: Classes) -> ModelSpec:
    """How a model built from this section describes itself."""
    return ModelSpec(
        classes=classes.names,
        synthetic=classes.synthetic,
        preprocessing=config.preprocessing,
        backbone=config.backbone,
        weights=config.weights,
        freeze=config.freeze,
        precision=config.precision,
    )
