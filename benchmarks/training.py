"""Training as most do it, and from cached features: `python benchmarks/training.py [--images FOLDER] [--work FOLDER]`.

One after the other on the same images with the same weights, each in a process of its own whose imports count:

- family: frozen VGG16 at 224, Flatten and a softmax, Keras `fit` on augmented images, 20 epochs with validation;
- bare: nothing but the frozen network's forward passes over preprocessed batches that lie in memory, in the precision
  that the experiment computes in; for eight bits also those in float32 that it takes its ranges from;
- cold: the training component (search and refit) with an empty feature cache, as config/experiments/chest_ct.yaml says;
- warm: the same once more with another learning rate.

The family's run is extrapolated: steps are timed once they are steady, its start is taken as it was. Images are the
real ones where KAGGLEHUB_CACHE is set, else a phantom's; weights are ImageNet's where CNNCLASSIFIER_WEIGHTS_DIR is set,
else random: neither changes the work of a step. FOLDER holds train/, valid/ and
test/ with class folders.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnClassifier.batching import batches
from cnnClassifier.config.loading import experiment_file, load_project, load_settings
from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest

FAMILY_SIZE, FAMILY_BATCH, FAMILY_EPOCHS = 224, 16, 20
UNSTEADY = 3  # first steps, which compile and fill queues, are not counted
BATCH = 16  # of the bare forward passes
MATRIX = 2048  # side of the matrices that the machine's peak is measured with


Moment = tuple[float, float]


@dataclass(frozen=True)
class Measured:
    """What a process took, seconds and MB, and what it told."""

    seconds: float
    cpu: float
    memory: float
    told: dict[str, float]


def main() -> None:
    """Prepare images and a base model, run each part in a process, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="your own images instead")
    parser.add_argument("--work", type=Path, help="kept afterwards; default: a temporary folder")
    parser.add_argument("--steps", type=int, default=15, help="of the family's training that are run")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.part:
        told = PARTS[options.part](options)
        (options.work / f"{options.part}.json").write_text(json.dumps(told))
    elif options.work:
        compare(options)
    else:
        with tempfile.TemporaryDirectory() as folder:
            options.work = Path(folder)
            compare(options)


def compare(options: argparse.Namespace) -> None:
    """Run all parts and print what they took."""
    options.work.mkdir(parents=True, exist_ok=True)
    run("prepare", options)
    found = {part: run(part, options) for part in ("family", "bare", "cold", "warm")}
    print_table(found)


def run(part: str, options: argparse.Namespace) -> Measured:
    """One part in a process of its own."""
    command = [sys.executable, __file__, "--part", part, "--work", str(options.work), "--steps", str(options.steps)]
    command += ["--images", str(options.images)] if options.images else []
    started = time.perf_counter()
    log = options.work / f"{part}.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{part} failed:\n{log.read_text()[-2000:]}")
    told = json.loads((options.work / f"{part}.json").read_text())
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, told)


def print_table(found: dict[str, Measured]) -> None:
    """Seconds and CPU seconds of each, and how much faster than the family's by both."""
    family, bare, cold, warm = (found[part] for part in ("family", "bare", "cold", "warm"))
    told = bare.told
    whole = (extrapolated(family, family.seconds, ""), extrapolated(family, family.cpu, "_cpu"))
    rows = {
        f"family, {FAMILY_EPOCHS} epochs (extrapolated)": (*whole, family.memory),
        "bare forward passes": (told["forward"], told["forward_cpu"], bare.memory),
        "cold cache": (*without_folds(cold), cold.memory),
        "warm cache, another learning rate": (*without_folds(warm), warm.memory),
    }
    passes = told["forward"] - told["ranging"]
    speed = told["gflop"] * told["images"] / passes
    lines = [
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {told['images']:.0f} images, {told['gflop']:.1f} "
        f"GFLOP an image, matrix product {told['peak']:.0f} GFLOP/s",
        "| | seconds | CPU seconds | peak memory, MB | times faster | by CPU seconds |\n|---|---|---|---|---|---|",
        *(
            f"| {name} | {wall:.1f} | {cpu:.1f} | {memory:.0f} | {whole[0] / wall:.1f} | {whole[1] / cpu:.1f} |"
            for name, (wall, cpu, memory) in rows.items()
        ),
        f"cold / bare: {without_folds(cold)[0] / told['forward']:.2f}; five folds add {cold.told['folds']:.1f} s cold, "
        f"{warm.told['folds']:.1f} s warm",
        f"family: {family.told['step']:.2f} s a training step of {FAMILY_BATCH} images, "
        f"{family.told['valid_step']:.2f} s a validation step",
        f"bare: {1000 * passes / told['images']:.0f} ms an image, {speed / told['peak']:.0%} of the matrix product's "
        f"speed, and {told['ranging']:.1f} s for ranges; decoding and preprocessing "
        f"{1000 * told['pixels'] / told['images']:.1f} ms, one thread",
        f"warm: imports {warm.told['imports']:.1f} s, search {warm.told['search']:.1f}, refit {warm.told['refit']:.1f}",
    ]
    print("\n".join(lines))  # noqa: T201


def extrapolated(family: Measured, spent: float, kind: str) -> float:
    """Seconds of all the family's epochs: what its process spent beside the timed steps, and all steps as timed."""
    told = family.told
    step, valid_step = told[f"step{kind}"], told[f"valid_step{kind}"]
    start = max(0.0, spent - step * told["steps"] - valid_step * told["valid_steps"])
    return start + FAMILY_EPOCHS * (step * told["train"] + valid_step * told["valid"]) / FAMILY_BATCH


def without_folds(each: Measured) -> tuple[float, float]:
    """Seconds and CPU seconds of one model's training: imports, search, refit, plots and files."""
    return each.seconds - each.told["folds"], each.cpu - each.told["folds_cpu"]


# --- the parts ----------------------------------------------------------------------------


def prepare(options: argparse.Namespace) -> dict[str, float]:
    """The stages before training; their time is not counted, as all parts need the images."""
    from cnnClassifier.components.data_audit import DataAudit
    from cnnClassifier.components.data_ingestion import DataIngestion
    from cnnClassifier.components.prepare_base_model import PrepareBaseModel

    settings, paths = settings_of(options), paths_in(options.work)
    DataIngestion(settings.data_ingestion, paths).run()
    DataAudit(settings.data_audit, paths).run()
    PrepareBaseModel(settings.prepare_base_model, paths).run()
    return {}


def train_as_the_family(options: argparse.Namespace) -> dict[str, float]:
    """Some training and validation steps of the usual recipe."""
    import keras

    folder = link_images(paths_in(options.work), options.work / "family")
    train, valid = (read_folder(folder / split, shuffle=split == "train") for split in ("train", "valid"))
    classes = len(train.class_names)
    views = [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomRotation(40 / 360),
        keras.layers.RandomZoom(0.2),
        keras.layers.RandomTranslation(0.2, 0.2),
    ]
    weights = settings_of(options).prepare_base_model.weights
    model = family_model(classes, weights)
    clock = clock_of_steps()
    changed = keras.Sequential(views)
    augmented = train.map(lambda images, labels: (changed(images, training=True) / 255, labels))
    model.fit(augmented.repeat().prefetch(2), steps_per_epoch=options.steps, callbacks=[clock], verbose=0)
    scaled = valid.map(lambda images, labels: (images / 255, labels))
    model.evaluate(scaled.repeat().prefetch(2), steps=options.steps, callbacks=[clock], verbose=0)
    counts = Counter(record.split for record in records_of(options))
    return {
        **dict(zip(("step", "step_cpu"), steady(clock.train), strict=True)),
        **dict(zip(("valid_step", "valid_step_cpu"), steady(clock.valid), strict=True)),
        "steps": len(clock.train),
        "valid_steps": len(clock.valid),
        "train": counts["train"],
        "valid": counts["valid"],
    }


def pass_forward(options: argparse.Namespace) -> dict[str, float]:
    """Seconds of the forward passes alone, of the preprocessing alone, and the machine's speed."""
    from cnnClassifier.features.engine import ranging_records
    from cnnClassifier.features.network import open_features
    from cnnClassifier.modeling import cut, forward, load_model

    paths = paths_in(options.work)
    model, spec = load_model(paths.base_model)
    parts = cut(model, spec.freeze)
    # In a cache of its own: the cold run finds no network in eight bits.
    call = open_features(parts, spec, paths.model_copy(update={"cache": options.work / "bare"})).forward
    records = records_of(options)
    passes = pass_over(records, call, paths, spec.preprocessing)
    ranging = np.zeros(3)
    if spec.precision == "int8":
        ranging = pass_over(ranging_records(paths), forward(parts.trunk), paths, spec.preprocessing)
    return {
        "forward": passes[0] + ranging[0],
        "forward_cpu": passes[1] + ranging[1],
        "ranging": ranging[0],
        "pixels": passes[2],
        "images": len(records),
        "gflop": giga_operations(parts.trunk),
        "peak": matrix_speed(),
    }


def pass_over(records: Sequence[ImageRecord], call: Any, paths: Paths, spec: Any) -> Any:
    """Seconds and CPU seconds of the forward passes over images, and seconds of reading and preprocessing them."""
    from cnnClassifier.preprocessing import preprocess

    spent = np.zeros(3)
    for number, batch in enumerate(batches(records, BATCH)):
        started = time.perf_counter()
        images = np.stack([preprocess((paths.images / each.path).read_bytes(), spec) for each in batch])
        read = time.perf_counter() - started
        if number == 0 or len(images) < BATCH:
            call(images)  # the first pass of a size compiles; the very first makes the network in eight bits
        started, started_cpu = now()
        call(images)
        ended, ended_cpu = now()
        spent += (ended - started, ended_cpu - started_cpu, read)
    return spent


def train_cold(options: argparse.Namespace) -> dict[str, float]:
    """The component as it is."""
    return train(options, 1.0)


def train_warm(options: argparse.Namespace) -> dict[str, float]:
    """The component with a changed head: another learning rate."""
    return train(options, 0.5)


def train(options: argparse.Namespace, rate: float) -> dict[str, float]:
    """Run the component; says how long imports, the search, the folds and the refit were."""
    started = time.perf_counter()
    from cnnClassifier.components import training

    imports = time.perf_counter() - started
    config = settings_of(options).training
    config = config.model_copy(update={"learning_rate": rate * config.learning_rate})
    spent = {"folds": 0.0, "folds_cpu": 0.0}

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            started, cpu = now()
            found = work(*arguments)
            ended, cpu_ended = now()
            spent["folds"] += ended - started
            spent["folds_cpu"] += cpu_ended - cpu
            return found

        return run

    class Timed(training.Recipe):
        def search(self, *arguments: Any, **more: Any) -> Any:
            started = time.perf_counter()
            state = super().search(*arguments, **more)
            spent["search"] = time.perf_counter() - started
            return state

        def fit_for(self, *arguments: Any, **more: Any) -> None:
            started = time.perf_counter()
            super().fit_for(*arguments, **more)
            spent["refit"] = time.perf_counter() - started  # the last one told is the refit

    training.deal_folds, training.cross_validate = timed(training.deal_folds), timed(training.cross_validate)
    training.Recipe = Timed
    training.Training(config, paths_in(options.work)).run()
    return {"imports": imports, **spent}


PARTS = {
    "prepare": prepare,
    "family": train_as_the_family,
    "bare": pass_forward,
    "cold": train_cold,
    "warm": train_warm,
}

# --- what they need -----------------------------------------------------------------------


def settings_of(options: argparse.Namespace) -> Settings:
    """The shipped chest_ct experiment, on the images and weights that are at hand."""
    settings = load_settings(experiment_file("chest_ct"))
    if options.images:
        settings = settings.model_copy(update={"data_ingestion": folder_section(settings, options.images)})
    elif not os.environ.get("KAGGLEHUB_CACHE"):
        phantom = load_settings(experiment_file("phantom"))
        same = {name: getattr(phantom, name) for name in ("data_ingestion", "data_audit")}
        settings = settings.model_copy(update=same)
    if not os.environ.get("CNNCLASSIFIER_WEIGHTS_DIR"):
        model = settings.prepare_base_model.model_copy(update={"weights": "none"})
        settings = settings.model_copy(update={"prepare_base_model": model})
    return settings


def folder_section(settings: Settings, folder: Path) -> Any:
    """The data_ingestion section for a folder of train/, valid/ and test/ with class folders."""
    classes = {each.name: [each.name] for each in sorted((folder / "train").iterdir()) if each.is_dir()}
    source = {"kind": "folder", "path": folder}
    section = settings.data_ingestion.model_dump() | {"source": source, "classes": classes}
    return type(settings.data_ingestion).model_validate(section)


def paths_in(folder: Path) -> Paths:
    """The project's paths, all below a folder."""
    paths = load_project().paths.model_dump()
    return Paths(**{name: folder / path for name, path in paths.items()})


def records_of(options: argparse.Namespace) -> list[ImageRecord]:
    """The images that training sees: all parts take these."""
    return [record for record in read_manifest(paths_in(options.work).audited_manifest) if record.split != "test"]


def link_images(paths: Paths, folder: Path) -> Path:
    """The same images as Keras likes them: split, class, file."""
    for record in read_manifest(paths.audited_manifest):
        link = folder / record.split / record.label / f"{record.sha256}{Path(record.path).suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to((paths.images / record.path).resolve())
    return folder


def read_folder(folder: Path, *, shuffle: bool) -> Any:
    """Batches of decoded images at the family's size, with one-hot labels."""
    import keras

    return keras.utils.image_dataset_from_directory(
        folder,
        label_mode="categorical",
        image_size=(FAMILY_SIZE, FAMILY_SIZE),
        batch_size=FAMILY_BATCH,
        shuffle=shuffle,
        seed=1,
        verbose=False,
    )


def family_model(classes: int, weights: str) -> Any:
    """Frozen VGG16, Flatten, softmax."""
    import keras

    from cnnClassifier.backbones import build_backbone

    image, features = build_backbone("VGG16", FAMILY_SIZE, weights)
    backbone = keras.Model(image, features)
    backbone.trainable = False
    probabilities = keras.layers.Dense(classes, activation="softmax")(keras.layers.Flatten()(backbone.output))
    model = keras.Model(backbone.input, probabilities)
    model.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy", metrics=["accuracy"])
    return model


def clock_of_steps() -> Any:
    """A callback that notes when each step ended."""
    import keras

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.train: list[Moment] = []
            self.valid: list[Moment] = []

        def on_train_batch_end(self, *_: Any, **__: Any) -> None:
            self.train.append(now())

        def on_test_batch_end(self, *_: Any, **__: Any) -> None:
            self.valid.append(now())

    return Clock()


def now() -> Moment:
    """Seconds by the clock, and of this process' threads."""
    return time.perf_counter(), time.process_time()


def steady(ends: Sequence[Moment]) -> tuple[float, float]:
    """Mean seconds and CPU seconds a step once the first ones are over."""
    (start, start_cpu), (end, end_cpu) = ends[UNSTEADY - 1], ends[-1]
    count = len(ends) - UNSTEADY
    return (end - start) / count, (end_cpu - start_cpu) / count


def giga_operations(trunk: Any) -> float:
    """Multiplications and additions of the convolutions for one image, in units of 1e9."""
    convolutions = [layer for layer in trunk.layers if type(layer).__name__ == "Conv2D"]
    return sum(2 * layer.kernel.shape.num_elements() * np.prod(layer.output.shape[1:3]) for layer in convolutions) / 1e9


def matrix_speed() -> float:
    """The best of some float32 matrix products, GFLOP/s."""
    square = np.random.default_rng(0).normal(size=(MATRIX, MATRIX)).astype(np.float32)
    times = []
    for _ in range(8):
        started = time.perf_counter()
        square @ square
        times.append(time.perf_counter() - started)
    return 2 * MATRIX**3 / min(times) / 1e9


if __name__ == "__main__":
    main()
