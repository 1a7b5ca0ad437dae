"""Training as most projects of this kind do it: frozen VGG16 at 224, Flatten, a softmax, every image in every epoch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from machine import Moment, now

from cnnClassifier.backbones import build_backbone
from cnnClassifier.config.types import Paths
from cnnClassifier.datasets.manifest import read_manifest

SIZE, BATCH, EPOCHS = 224, 16, 20
UNSTEADY = 3  # first steps, which compile and fill queues, are not counted


def time_steps(folder: Path, weights: str, steps: int) -> dict[str, float]:
    """Seconds and CPU seconds of some training and validation steps on train/ and valid/ of a folder."""
    train, valid = (read_folder(folder / split, shuffle=split == "train") for split in ("train", "valid"))
    model = build_model(len(train.class_names), weights)
    clock = Clock()
    views = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(40 / 360),
            keras.layers.RandomZoom(0.2),
            keras.layers.RandomTranslation(0.2, 0.2),
        ]
    )
    augmented = train.map(lambda images, labels: (views(images, training=True) / 255, labels))
    model.fit(augmented.repeat().prefetch(2), steps_per_epoch=steps, callbacks=[clock], verbose=0)
    scaled = valid.map(lambda images, labels: (images / 255, labels))
    model.evaluate(scaled.repeat().prefetch(2), steps=steps, callbacks=[clock], verbose=0)
    return {
        **dict(zip(("step", "step_cpu"), steady(clock.train), strict=True)),
        **dict(zip(("valid_step", "valid_step_cpu"), steady(clock.valid), strict=True)),
        "steps": len(clock.train),
        "valid_steps": len(clock.valid),
    }


def link_images(paths: Paths, folder: Path) -> Path:
    """A project's images as Keras likes them: split, class, file."""
    for record in read_manifest(paths.audited_manifest):
        link = folder / record.split / record.label / f"{record.sha256}{Path(record.path).suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to((paths.images / record.path).resolve())
    return folder


def read_folder(folder: Path, *, shuffle: bool) -> Any:
    """Batches of decoded images with one-hot labels."""
    return keras.utils.image_dataset_from_directory(
        folder,
        label_mode="categorical",
        image_size=(SIZE, SIZE),
        batch_size=BATCH,
        shuffle=shuffle,
        seed=1,
        verbose=False,
    )


def build_model(classes: int, weights: str) -> Any:
    """Frozen VGG16, Flatten, softmax."""
    image, features = build_backbone("VGG16", SIZE, weights)
    backbone = keras.Model(image, features)
    backbone.trainable = False
    probabilities = keras.layers.Dense(classes, activation="softmax")(keras.layers.Flatten()(backbone.output))
    model = keras.Model(backbone.input, probabilities)
    model.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy", metrics=["accuracy"])
    return model


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes when each step ended."""

    def __init__(self) -> None:
        super().__init__()
        self.train: list[Moment] = []
        self.valid: list[Moment] = []

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """A training step is over."""
        self.train.append(now())

    def on_test_batch_end(self, *_: Any, **__: Any) -> None:
        """A validation step is over."""
        self.valid.append(now())


def steady(ends: Sequence[Moment]) -> tuple[float, float]:
    """Mean seconds and CPU seconds a step once the first ones are over."""
    (start, start_cpu), (end, end_cpu) = ends[UNSTEADY - 1], ends[-1]
    count = len(ends) - UNSTEADY
    return (end - start) / count, (end_cpu - start_cpu) / count
