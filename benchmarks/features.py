"""What filling the feature store and reading it costs as images grow, and extraction against bare forward passes.

`python benchmarks/features.py [--images 100000] [--project <a finished chest_ct run>]`. Images are drawn, small, and
the network is small, so that the store is what is measured; each size has a process of its own, whose peak memory is
taken before the filling, after it and after the reading. With a project: its real images through VGG16, decoded,
preprocessed and stored, against the network alone on the same batches, the two in turn.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from engines import peak_memory
from PIL import Image

from cnnClassifier.batching import batches
from cnnClassifier.config.network import HeadConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest
from cnnClassifier.features.extraction import BATCH, FeatureExtractor, Space
from cnnClassifier.features.network import PLAIN
from cnnClassifier.modeling import build_classifier, cut, forward

SIZES = (1000, 10_000, 100_000)
SIDE = 32  # pixels of a drawn image
STEP = 64  # images a training step
EPOCHS = 2
REAL, ROUNDS = 64, 3  # images through VGG16, at most, and how often


def main() -> None:
    """Print a line for each number of images, each from its own process; then extraction, if there is a project."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=SIZES[-1])
    parser.add_argument("--project", type=Path, help="a finished chest_ct run; it is only read")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure_growth(arguments.images)
        return
    print(  # noqa: T201
        "| images | fill, s | ms an image | open, s | an epoch in random order, s | peak memory before, MB | filled |"
        " read | bytes an image more |\n|---|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    for count in [size for size in SIZES if size < arguments.images] + [arguments.images]:
        subprocess.run([sys.executable, __file__, "--one", "--images", str(count)], check=True)
    if arguments.project:
        measure_extraction(arguments.project)


# --- growth ---------------------------------------------------------------------------------


def measure_growth(count: int) -> None:
    """Fill a store with the features of so many drawn images, open it again, read it all in random order."""
    with tempfile.TemporaryDirectory() as folder:
        records = draw_images(Path(folder), count)
        space, network = small_network()
        open_store = lambda: FeatureExtractor(Path(folder, "cache"), Path(folder), space, network)  # noqa: E731
        before = peak_memory()
        fill, _ = timed(lambda: open_store().ensure(records, [PLAIN]))
        filled = peak_memory()
        store = open_store()
        opened, _ = timed(lambda: store.ensure(records, [PLAIN]))
        epochs = [timed(lambda: read_all(store, records))[0] for _ in range(EPOCHS)]
        read = peak_memory()
    more = (read - before) * 1e6 / count
    print(  # noqa: T201
        f"| {count:,} | {fill:.1f} | {1000 * fill / count:.2f} | {opened:.2f} | {min(epochs):.1f} | {before:.0f} | "
        f"{filled:.0f} | {read:.0f} | {more:.0f} |",
        flush=True,
    )


def draw_images(folder: Path, count: int) -> list[ImageRecord]:
    """Noise, one PNG an image, a thousand a folder."""

    def draw(number: int) -> ImageRecord:
        pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        file = folder / str(number // 1000) / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(file, compress_level=1)
        data = file.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        path = str(file.relative_to(folder))
        return ImageRecord(
            digest[:16], path, "a", "train", digest[:16], digest, digest, SIDE, SIDE, "L", "PNG", len(data)
        )

    with ThreadPoolExecutor() as pool:
        return [record for numbers in batches(range(count), 1000) for record in pool.map(draw, numbers)]


def small_network() -> tuple[Space, Any]:
    """An untrained SmallCNN up to its pooled features, warmed up."""
    preprocessing = PreprocessingSpec(image_size=SIDE, body_crop=False)
    network = forward(trunk("SmallCNN", "none", preprocessing))
    network(np.zeros((BATCH, SIDE, SIDE, 3), np.float32))
    return Space(preprocessing, "benchmark"), network


def read_all(store: FeatureExtractor, records: Sequence[ImageRecord]) -> None:
    """What an epoch reads: every image once, in random order, a step at a time."""
    for rows in batches(np.random.default_rng().permutation(len(records)), STEP):
        store.read_views([(records[row], PLAIN) for row in rows])


# --- extraction -------------------------------------------------------------------------------


def measure_extraction(project: Path) -> None:
    """Print VGG16's forward passes alone, decoding alone, and extraction of the same images, each its best round."""
    preprocessing = PreprocessingSpec(image_size=256)
    network = forward(trunk("VGG16", "imagenet", preprocessing))
    records = [each for each in read_manifest(project / "artifacts/data_audit/manifest.csv") if each.split == "train"]
    records, images = records[:REAL], project / "artifacts/data_ingestion/images"
    prepare = lambda record: PLAIN.prepare((images / record.path).read_bytes(), preprocessing, record.sha256)  # noqa: E731
    pixels = np.stack([prepare(record) for record in records])
    network(pixels[:BATCH])
    rounds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as cache:
            extractor = FeatureExtractor(Path(cache), images, Space(preprocessing, "benchmark"), network)
            decoded = timed(lambda: [prepare(record) for record in records])
            bare = timed(lambda: [network(pixels[i : i + BATCH]) for i in range(0, len(records), BATCH)])
            whole = timed(lambda: extractor.ensure(records, [PLAIN]))  # noqa: B023
        rounds.append((decoded, bare, whole))
    print("\n| | ms an image | core-ms an image | cores busy |\n|---|---|---|---|")  # noqa: T201
    best = [min(each[kind] for each in rounds) for kind in range(3)]
    cores = [min(each[kind][1] for each in rounds) for kind in range(3)]
    for name, (seconds, busy), core in zip(
        ("decode, one core", "bare forward", "extraction"), best, cores, strict=True
    ):
        each, of_core = (1000 * spent / len(records) for spent in (seconds, core))
        print(f"| {name} | {each:.1f} | {of_core:.1f} | {busy / seconds:.2f} |")  # noqa: T201
    print(  # noqa: T201
        f"extraction / bare forward: {best[2][0] / best[1][0]:.2f} by the clock, {cores[2] / cores[1]:.2f} by core time"
    )


# --- both ---------------------------------------------------------------------------------------


def trunk(backbone: str, weights: str, preprocessing: PreprocessingSpec) -> Any:
    """A network up to its pooled features."""
    config = PrepareBaseModelConfig(
        seed=1, backbone=backbone, weights=weights, head=HeadConfig(), preprocessing=preprocessing
    )
    return cut(build_classifier(config, 2), "all").trunk


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock, and seconds of cores."""
    began, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - worked


if __name__ == "__main__":
    main()
