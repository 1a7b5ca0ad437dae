"""What maps cost a served model: `python benchmarks/maps.py [--rounds 20]`.

Networks of random weights, exported as registration does. In turn, on one image and on eight: the probabilities alone
(ONNX Runtime told to leave out what they do not need), the probabilities as they are served to who asks for no map
(it computes every output all the same), and both. Best and median time of the rounds.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from cnnClassifier.config.network import HeadConfig, LayerPoolConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.export import export_package
from cnnClassifier.model_spec import INPUT, MAPS, ONNX_FILE, OUTPUT, ModelSpec
from cnnClassifier.modeling import build_classifier

HEADER = (
    "| network | images | no maps, ms | not asked for | asked for | more (best) | more (median) |\n" + "|---" * 7 + "|"
)
CLASSES = ("a", "b", "c", "d")


def of_vgg(layer: str, pooling: str, grid: int = 1) -> LayerPoolConfig:
    """An inner layer of VGG16, pooled."""
    return LayerPoolConfig(layer=f"{layer}_pool", pooling=pooling, grid=grid)


PHANTOM = (
    *(of_vgg(layer, "mean") for layer in ("block4", "block3")),
    *(of_vgg(layer, "deviation") for layer in ("block5", "block4", "block3")),
)
HEADS = {
    "VGG16, 288 px, as chest_ct": ("VGG16", 288, HeadConfig(also=(of_vgg("block4", "deviation", 2),))),
    "VGG16, 256 px, as phantom": ("VGG16", 256, HeadConfig(also=PHANTOM)),
    "VGG16, 192 px, block 4 in 8 x 8 cells": ("VGG16", 192, HeadConfig(also=(of_vgg("block4", "deviation", 8),))),
    "MobileNetV2, 224 px, mean": ("MobileNetV2", 224, HeadConfig()),
    "MobileNetV2, 224 px, mean, 256 hidden": ("MobileNetV2", 224, HeadConfig(hidden_units=256)),
    "SmallCNN, 128 px, mean": ("SmallCNN", 128, HeadConfig()),
}


def main() -> None:
    """Print a row for each head and batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    print(HEADER)  # noqa: T201
    for title, (backbone, size, head) in HEADS.items():
        with tempfile.TemporaryDirectory() as folder:
            session = open_exported(backbone, size, head, Path(folder))
        for count in (1, 8):
            print(row(title, measure(session, count, size, rounds), count), flush=True)  # noqa: T201


def open_exported(backbone: str, size: int, head: HeadConfig, folder: Path) -> onnxruntime.InferenceSession:
    """A session with a new network."""
    preprocessing = PreprocessingSpec(image_size=size)
    known = {"backbone": backbone, "weights": "none", "freeze": "all", "preprocessing": preprocessing}
    model = build_classifier(PrepareBaseModelConfig(seed=1, head=head, **known), len(CLASSES))
    export_package(model, ModelSpec(classes=CLASSES, **known), folder)
    return onnxruntime.InferenceSession(folder / ONNX_FILE, providers=["CPUExecutionProvider"])


def measure(session: onnxruntime.InferenceSession, count: int, size: int, rounds: int) -> np.ndarray:
    """Seconds (rounds, 3) of each way, the three in turn."""
    batch = {INPUT: np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype(np.float32)}
    sparing = onnxruntime.RunOptions()
    sparing.only_execute_path_to_fetches = True
    ways = (([OUTPUT], sparing), ([OUTPUT], None), ([OUTPUT, MAPS], None))
    seconds = np.empty((rounds + 1, len(ways)))
    for number in range(rounds + 1):  # the first one warms up
        for way, (outputs, options) in enumerate(ways):
            start = time.perf_counter()
            session.run(outputs, batch, options)
            seconds[number, way] = time.perf_counter() - start
    return seconds[1:]


def row(title: str, seconds: np.ndarray, count: int) -> str:
    """A line of the table; "more" is maps asked for against none."""
    best, median = seconds.min(axis=0), np.median(seconds, axis=0)
    times = " | ".join(f"{1000 * each:.1f}" for each in best)
    return f"| {title} | {count} | {times} | {best[2] / best[0] - 1:+.1%} | {median[2] / median[0] - 1:+.1%} |"


if __name__ == "__main__":
    main()
