"""Training as most do it, and from cached features: `python benchmarks/training.py [--images FOLDER] [--work FOLDER]`.

One after the other on the same images with the same weights, each in a process of its own whose imports count:

- family: frozen VGG16 at 224, Flatten and a softmax, Keras `fit` on augmented images, 20 epochs with validation;
- bare: nothing but the forward passes of the frozen network that cold needs, one for each image and view, over batches
  in memory, in the precision that the experiment computes in; for eight bits also those in float32 for its ranges;
- cold: the training component (search and refit) with an empty feature cache, as config/experiments/chest_ct.yaml says;
- warm: the same once more with another learning rate.

The family's run is extrapolated: steps are timed once they are steady, its start is taken as it was. Images are the
real ones where KAGGLEHUB_CACHE is set, else a phantom's; weights are ImageNet's where CNNCLASSIFIER_WEIGHTS_DIR is set,
else random: neither changes the work of a step. FOLDER holds train/, valid/ and test/ with class folders.
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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from machine import count_operations, matrix_peak, now

from cnnClassifier.batching import batches
from cnnClassifier.config.loading import experiment_file, load_project, load_settings
from cnnClassifier.config.types import Paths, Settings
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest

BATCH = 16  # of the bare forward passes


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
        f"family, {family.told['epochs']:.0f} epochs (extrapolated)": (*whole, family.memory),
        "bare forward passes": (told["forward"], told["forward_cpu"], bare.memory),
        "cold cache": (*without_folds(cold), cold.memory),
        "warm cache, another learning rate": (*without_folds(warm), warm.memory),
    }
    passes = told["forward"] - told["ranging"]
    speed = told["gflop"] * told["passes"] / passes
    lines = [
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {told['passes']:.0f} images and views, "
        f"{told['gflop']:.1f} GFLOP each, matrix product {told['peak']:.0f} GFLOP/s",
        "| | seconds | CPU seconds | peak memory, MB | times faster | by CPU seconds |\n|---|---|---|---|---|---|",
        *(
            f"| {name} | {wall:.1f} | {cpu:.1f} | {memory:.0f} | {whole[0] / wall:.1f} | {whole[1] / cpu:.1f} |"
            for name, (wall, cpu, memory) in rows.items()
        ),
        f"cold / bare: {without_folds(cold)[0] / told['forward']:.2f}; five folds add {cold.told['folds']:.1f} s cold, "
        f"{warm.told['folds']:.1f} s warm",
        f"family: {family.told['step']:.2f} s a training step of {family.told['size']:.0f} images, "
        f"{family.told['valid_step']:.2f} s a validation step",
        f"bare: {1000 * passes / told['passes']:.0f} ms each, {speed / told['peak']:.0%} of the matrix product's "
        f"speed, and {told['ranging']:.1f} s for ranges; decoding and preprocessing "
        f"{1000 * told['pixels'] / told['passes']:.1f} ms, one thread",
        f"warm: imports {warm.told['imports']:.1f} s, search {warm.told['search']:.1f}, refit {warm.told['refit']:.1f}",
    ]
    print("\n".join(lines))  # noqa: T201


def extrapolated(family: Measured, spent: float, kind: str) -> float:
    """Seconds of all the family's epochs: what its process spent beside the timed steps, and all steps as timed."""
    told = family.told
    step, valid_step = told[f"step{kind}"], told[f"valid_step{kind}"]
    start = max(0.0, spent - step * told["steps"] - valid_step * told["valid_steps"])
    return start + told["epochs"] * (step * told["train"] + valid_step * told["valid"]) / told["size"]


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
    import family

    folder = family.link_images(paths_in(options.work), options.work / "family")
    told = family.time_steps(folder, settings_of(options).prepare_base_model.weights, options.steps)
    counts = Counter(record.split for record in records_of(options))
    return {**told, "size": family.BATCH, "epochs": family.EPOCHS, "train": counts["train"], "valid": counts["valid"]}


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
    records = records_of(options) * (1 + settings_of(options).training.augmentation.views)
    passes = pass_over(records, call, paths, spec.preprocessing)
    ranging = np.zeros(3)
    if spec.precision == "int8":
        ranging = pass_over(ranging_records(paths), forward(parts.trunk), paths, spec.preprocessing)
    return {
        "forward": passes[0] + ranging[0],
        "forward_cpu": passes[1] + ranging[1],
        "ranging": ranging[0],
        "pixels": passes[2],
        "passes": len(records),
        "gflop": count_operations(parts.trunk) / 1e9,
        "peak": matrix_peak() / 1e9,
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


def train(options: argparse.Namespace, rate: float) -> dict[str, float]:
    """Run the component with so many times its learning rate; seconds of imports, search, folds and refit."""
    from cnnClassifier.importing import heavy_imports, skip_final_collection

    skip_final_collection()  # as main.py does
    started = time.perf_counter()
    with heavy_imports():
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
    "cold": partial(train, rate=1.0),
    "warm": partial(train, rate=0.5),  # a changed head
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


if __name__ == "__main__":
    main()
