"""Does tuning VGG16's last block help patients? `python benchmarks/fine_tuning.py --project <a finished run>`.

On the run's own grouped folds, each fold starts from its own frozen recipe: the head is fitted as the pipeline does,
then block 5 and the head go on together, block 5 at a tenth of the head's rate, on cached activations of block 4.
Everything in float32. After each epoch the held-out patients are predicted, so that the table shows the whole course;
epoch 0 is the frozen recipe. Grouped cross-validation of train+valid; the test split is never read.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from held_out import FIGURES, Floats, figures, images_to_learn_from, say
from numpy.typing import NDArray
from tqdm import tqdm

from cnnClassifier.config.loading import load_project, load_settings
from cnnClassifier.config.types import TrainingConfig
from cnnClassifier.datasets.manifest import ImageRecord
from cnnClassifier.features.extraction import FeatureExtractor
from cnnClassifier.features.network import PLAIN, open_features, predict_tail
from cnnClassifier.fit_state import assign, read_history, values_of
from cnnClassifier.fitting import make_deterministic
from cnnClassifier.folds import deal_folds
from cnnClassifier.judgement import truth_of
from cnnClassifier.modeling import cut, forward, load_model
from cnnClassifier.recipe import Recipe
from cnnClassifier.weighting import example_weights

FROZEN_UP_TO = "block4_pool"
TUNED = "block5"
BATCH = 16


def main() -> None:
    """Print, for each epoch of tuning, what it does to images of held-out patients."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1e-5, help="of block 5; the head's is ten times that")
    options = parser.parse_args()
    os.chdir(options.project)
    paths, settings = load_project().paths, load_settings()
    records = images_to_learn_from(paths.audited_manifest)
    make_deterministic(settings.training.seed)
    model, spec = load_model(paths.base_model)
    spec = spec.model_copy(update={"precision": "float32"})
    whole, upper = cut(model, spec.freeze), cut(model, FROZEN_UP_TO)
    recipe = Recipe(whole.tail, open_features(whole, spec, paths), spec, settings.training)
    activations = open_features(upper, spec, paths)
    for extractor in (recipe.features, activations):
        extractor.ensure(records, [PLAIN])
    untouched, search = values_of(upper.tail.variables), read_history(paths.history)
    recipe.rates = search.rates
    fold = deal_folds(records, settings.training.folds, settings.training.seed)
    told = np.empty((options.epochs + 1, len(records), len(spec.classes)))
    for number in sorted(set(fold.tolist())):
        held_out, rest = fold == number, fold != number
        assign(upper.tail.variables, untouched)
        with tempfile.TemporaryDirectory() as folder:
            recipe.fit_for(chosen(records, rest), search.best_epoch + 1, Path(folder) / "head.npz")
        tuning = Tuning(upper.tail, activations, spec.classes, settings.training, options.rate)
        told[0, held_out] = tuning.predict(chosen(records, held_out))
        for epoch in range(options.epochs):
            tuning.learn(chosen(records, rest), epoch)
            told[epoch + 1, held_out] = tuning.predict(chosen(records, held_out))
    labels = truth_of(records, spec.classes)
    say(f"| epochs of tuning | {' | '.join(FIGURES)} |\n|---|---|---|---|")
    for epoch, each in enumerate(told):
        say(f"| {epoch} | " + " | ".join(f"{value:.3f}" for value in figures(each, labels)) + " |")


class Tuning:
    """Block 5 and the head, learning together from activations of block 4, each at its own rate."""

    def __init__(
        self, tail: Any, activations: FeatureExtractor, classes: Sequence[str], config: TrainingConfig, rate: float
    ) -> None:
        self.tail, self.activations, self.classes, self.config = tail, activations, classes, config
        for layer in tail.layers:
            layer.trainable = layer.name.startswith(TUNED) or layer.name == tail.layers[-1].name
        head = [each for each in tail.trainable_variables if not each.path.startswith(TUNED)]
        block = [each for each in tail.trainable_variables if each.path.startswith(TUNED)]
        of_head = keras.optimizers.AdamW(10 * rate, weight_decay=config.weight_decay)
        of_head.exclude_from_weight_decay(var_names=["bias"])
        self.parts = ((of_head, head), (keras.optimizers.Adam(rate), block))
        for optimizer, variables in self.parts:
            optimizer.build(variables)
        self.step = tf.function(self._step, reduce_retracing=True)
        self.forward = forward(tail)

    def predict(self, records: Sequence[ImageRecord]) -> Floats:
        """Probabilities (n, classes)."""
        return predict_tail(self.forward, self.activations, records)

    def learn(self, records: Sequence[ImageRecord], epoch: int) -> None:
        """One epoch over the records, in an order drawn from seed and epoch."""
        labels = truth_of(records, self.classes)
        weights = example_weights(labels, [record.group for record in records], len(self.classes), self.config)
        order = np.random.default_rng((self.config.seed, epoch)).permutation(len(records))
        for start in tqdm(range(0, len(order), BATCH), desc=f"epoch {epoch + 1}", disable=None):
            rows = order[start : start + BATCH]
            batch = self.activations.read([records[row] for row in rows], PLAIN)
            self.step(tf.constant(batch), tf.constant(labels[rows]), tf.constant(weights[rows]))

    def _step(self, batch: Any, labels: Any, weights: Any) -> None:
        variables = [each for _, part in self.parts for each in part]
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, self.tail(batch, training=True))
            loss = tf.reduce_mean(weights * losses)
        gradients = iter(tape.gradient(loss, variables))
        for optimizer, part in self.parts:
            optimizer.apply([next(gradients) for _ in part], part)


def chosen(records: Sequence[ImageRecord], mask: NDArray[np.bool_]) -> list[ImageRecord]:
    """Those records that a mask (n,) is true for."""
    return [record for record, wanted in zip(records, mask, strict=True) if wanted]


if __name__ == "__main__":
    main()
