"""Which engine runs the frozen layers fastest: `python benchmarks/engines.py --project <a finished chest_ct run>`.

VGG16 up to block5_pool. Each engine has a process of its own, so that its peak memory is its own; the parent lets them
work one after the other, round after round, so that a busy machine is busy for all of them. A rate is an engine's best
round; core-seconds count only the time that the engine had a core. Then what int8 costs: how far its features lie from
fp32's, and what a linear probe makes of either in grouped cross-validation of train+valid (the test split is never
read).

OpenVINO is no dependency of the project: `uv pip install --target /tmp/openvino --no-deps openvino` and
PYTHONPATH=/tmp/openvino; without it its rows are left out.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnClassifier.config.network import HeadConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest
from cnnClassifier.preprocessing import preprocess

Floats = NDArray[np.float32]
Engine = Callable[[Floats], Floats]

SIZES, BATCHES, THREADS = (224, 256), (16, 32), 2
LAYER = "block5_pool"
BARE = "tf.function"  # what modeling.forward does: every ratio is to it
IN_PROCESS = 32  # images a timed pass
WARM_UP = 2  # images before it: traces and plans are made
CALIBRATION = 64  # training images that int8 takes its ranges from
MATRIX = 4096
PROBE_SIZE = 256  # pixels: what chest_ct uses
FOLDS, FOLD_SEEDS = 5, range(3)


def main() -> None:
    """The parent prints tables; with --engine it is one engine, working on what its standard input says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, required=True, help="a finished chest_ct run; it is only read")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        serve(arguments.engine, arguments.work)
        return
    records = [each for each in read_manifest(arguments.project / "artifacts/data_audit/manifest.csv") if is_seen(each)]
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            used = records if size == PROBE_SIZE else [each for each in records if each.split == "train"][:CALIBRATION]
            prepare(Path(folder), arguments.project, used, size)
            compare(Path(folder), size, arguments.rounds)
            if size == PROBE_SIZE:
                judge_int8(Path(folder), records)


def is_seen(record: ImageRecord) -> bool:
    """Train and valid only."""
    return record.split != "test"


# --- engines: each made from the files that prepare() wrote -----------------------------------


def keras_predict(work: Path) -> Engine:
    """Keras' own loop, a batch a call."""
    model = trunk(json.loads((work / "about.json").read_text())["size"])
    return lambda batch: model.predict(batch, batch_size=len(batch), verbose=0)


def tf_function(work: Path) -> Engine:
    """The project's forward."""
    from cnnClassifier.modeling import forward

    return forward(trunk(json.loads((work / "about.json").read_text())["size"]))


def onnx_runtime(work: Path, file: str = "model.onnx") -> Engine:
    """ONNX Runtime on two threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(work / file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def onnx_runtime_int8(work: Path) -> Engine:
    """The same on weights and activations of eight bits."""
    return onnx_runtime(work, "int8.onnx")


def openvino(work: Path) -> Engine:
    """OpenVINO for throughput on two threads, in float32."""
    import openvino

    hints = {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(work / "model.onnx", "CPU", hints)
    return lambda batch: compiled(batch)[0]


ENGINES: dict[str, Callable[[Path], Engine]] = {
    BARE: tf_function,
    "Keras predict": keras_predict,
    "ONNX Runtime": onnx_runtime,
    "OpenVINO": openvino,
    "ONNX Runtime int8": onnx_runtime_int8,
}


def trunk(size: int) -> Any:
    """VGG16 with ImageNet weights on RGB 0-255, up to the layer."""
    from cnnClassifier.modeling import build_classifier, cut

    config = PrepareBaseModelConfig(
        seed=1, backbone="VGG16", freeze=LAYER, head=HeadConfig(), preprocessing=PreprocessingSpec(size=size)
    )
    return cut(build_classifier(config, 2), LAYER).trunk


def serve(name: str, work: Path) -> None:
    """Answer each line of JSON, {"batch": n, "images": m, "save": file or null}, with seconds and peak memory."""
    engine = ENGINES[name](work)
    pixels = np.load(work / "pixels.npy", mmap_mode="r")
    for line in sys.stdin:
        order = json.loads(line)
        images = np.array(pixels[: order["images"]])
        engine(images[:WARM_UP])
        began, worked = time.perf_counter(), time.process_time()
        found = [engine(images[i : i + order["batch"]]) for i in range(0, len(images), order["batch"])]
        seconds, cpu = time.perf_counter() - began, time.process_time() - worked
        if order["save"]:
            np.save(work / order["save"], np.concatenate(found))
        print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak_memory()}), flush=True)  # noqa: T201


def peak_memory() -> float:
    """MB of this process so far. Not getrusage's: a process inherits that from the one that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6


# --- the parent ------------------------------------------------------------------------------


def prepare(work: Path, project: Path, records: list[ImageRecord], size: int) -> None:
    """Write pixels.npy, about.json, model.onnx and int8.onnx; TensorFlow stays in a process of its own."""
    spec = PreprocessingSpec(size=size)
    images = project / "artifacts/data_ingestion/images"
    files = [images / record.path for record in records]
    shape = (len(files), size, size, 3)
    pixels = np.lib.format.open_memmap(work / "pixels.npy", "w+", np.float32, shape)
    for row, file in enumerate(files):
        pixels[row] = preprocess(file.read_bytes(), spec)
    pixels.flush()
    code = f"import engines, pathlib; engines.export(pathlib.Path({str(work)!r}), {size})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL)
    train = [row for row, record in enumerate(records) if record.split == "train"]
    chosen = np.random.default_rng(0).choice(train, CALIBRATION, replace=False)
    quantise(work, pixels[np.sort(chosen)])


def export(work: Path, size: int) -> None:
    """Write model.onnx, and about.json: how many floating-point operations its convolutions take an image."""
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = trunk(size)
    image = tf.TensorSpec((None, size, size, 3), tf.float32, name="image")
    traced = tf.function(lambda image: model(image, training=False)).get_concrete_function(image)
    # Without captured tensors, which would become inputs.
    frozen = convert_variables_to_constants_v2(traced)
    tf2onnx.convert.from_function(
        tf.function(lambda image: frozen(image)), [image], output_path=str(work / "model.onnx")
    )
    (work / "about.json").write_text(json.dumps({"size": size, "operations": count_operations(model)}))


def count_operations(model: Any) -> int:
    """Multiplications and additions of all convolutions, an image."""
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    return sum(2 * int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape)) for layer in convolutions)


def quantise(work: Path, pixels: Floats) -> None:
    """int8.onnx: static, a scale a channel, ranges from the least and greatest value on `pixels`."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(pixels)

        def get_next(self) -> dict[str, Floats] | None:
            image = next(self.rest, None)
            return None if image is None else {"image": image[np.newaxis]}

    quant_pre_process(str(work / "model.onnx"), str(work / "clean.onnx"), skip_symbolic_shape=True)
    quantize_static(
        work / "clean.onnx",
        work / "int8.onnx",
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def compare(work: Path, size: int, rounds: int) -> None:
    """Print a line for every engine and batch size."""
    operations = json.loads((work / "about.json").read_text())["operations"]
    best: dict[tuple[str, int], float] = {}
    cpu: dict[tuple[str, int], float] = {}
    peak: dict[str, float] = {}
    matrices: list[float] = []
    for _ in range(rounds):
        matrices.append(matrix_peak())
        for name, child in children(work):
            for batch in BATCHES:
                answer = ask(child, batch, IN_PROCESS)
                print(f"{size} px, {name}, batch {batch}: {answer}", file=sys.stderr, flush=True)  # noqa: T201
                best[name, batch] = min(best.get((name, batch), np.inf), answer["seconds"])
                cpu[name, batch] = min(cpu.get((name, batch), np.inf), answer["cpu"])
                peak[name] = max(peak.get(name, 0), answer["peak"])
    limit = max(matrices)
    print(  # noqa: T201
        f"\n{size} px: {operations / 1e9:.1f} GFLOP an image; matrix product {MATRIX}^3 in float32: {limit / 1e9:.0f} "
        f"GFLOP/s, so at most {limit / operations:.1f} images/s by plain multiplication\n"
        f"| engine | batch | images/s | / {BARE} | / matrix product | core-seconds an image | peak memory, MB |\n"
        "|---|---|---|---|---|---|---|"
    )
    for (name, batch), seconds in best.items():
        rate, bare = IN_PROCESS / seconds, IN_PROCESS / best[BARE, batch]
        share = rate * operations / limit
        work_done = cpu[name, batch] / IN_PROCESS
        print(  # noqa: T201
            f"| {name} | {batch} | {rate:.1f} | {rate / bare:.2f} | {share:.2f} | {work_done:.3f} | {peak[name]:.0f} |"
        )


def children(work: Path) -> Iterator[tuple[str, Any]]:
    """A process for each engine that is installed, one alive at a time."""
    for name in ENGINES:
        if name == "OpenVINO" and importlib.util.find_spec("openvino") is None:
            print("OpenVINO is not installed and left out (see --help)", file=sys.stderr)  # noqa: T201
            continue
        yield from ((name, child) for child in started(name, work))


def started(name: str, work: Path) -> Iterator[Any]:
    """One child, ended when the loop that uses it goes on."""
    command = [sys.executable, __file__, "--project", ".", "--engine", name, "--work", str(work)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as child:  # type: ignore[call-overload]
        yield child
        child.stdin.close()


def ask(child: Any, batch: int, images: int, save: str | None = None) -> dict[str, float]:
    """Let a child work through so many images."""
    child.stdin.write(json.dumps({"batch": batch, "images": images, "save": save}) + "\n")
    child.stdin.flush()
    answer: dict[str, float] = json.loads(child.stdout.readline())
    return answer


def matrix_peak() -> float:
    """Floating-point operations a second of numpy's product of two square matrices, best of three."""
    a = np.random.default_rng(0).random((MATRIX, MATRIX), np.float32)
    best = np.inf
    for _ in range(4):  # the first one starts threads
        began = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - began)
    return float(2 * MATRIX**3 / best)


# --- what int8 costs --------------------------------------------------------------------------


def judge_int8(work: Path, records: list[ImageRecord]) -> None:
    """Print how far int8 features lie from fp32, and what a linear probe makes of either."""
    for name, file in ((BARE, "fp32.npy"), ("ONNX Runtime int8", "int8.npy")):
        for child in started(name, work):
            ask(child, BATCHES[0], len(records), file)
    fp32, int8 = (grid(np.load(work / file)) for file in ("fp32.npy", "int8.npy"))
    relative = np.linalg.norm(int8 - fp32, axis=1) / np.linalg.norm(fp32, axis=1)
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(fp32, int8, strict=True)]
    print(  # noqa: T201
        f"\nint8 against fp32, 2x2-pooled {LAYER} of {len(records)} images: correlation median "
        f"{np.median(correlation):.4f}, least {min(correlation):.4f}; |difference| / |fp32| median "
        f"{np.median(relative):.3f}, largest {max(relative):.3f}\n"
        "| fold seed | fp32, balanced accuracy | int8 | difference, points |\n|---|---|---|---|"
    )
    for seed in FOLD_SEEDS:
        full, small = (probe(features, records, seed) for features in (fp32, int8))
        print(f"| {seed} | {full:.3f} | {small:.3f} | {100 * (small - full):+.1f} |", flush=True)  # noqa: T201


def grid(maps: Floats) -> Floats:
    """Means of 2x2 cells of feature maps (n, even, even, channels), laid flat."""
    n, side, _, channels = maps.shape
    cells: Floats = maps.reshape(n, 2, side // 2, 2, side // 2, channels).mean(axis=(2, 4)).reshape(n, -1)
    return cells


def probe(features: Floats, records: list[ImageRecord], seed: int) -> float:
    """Balanced accuracy, by grouped folds, of a multinomial logistic regression on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from cnnClassifier.cross_validation import deal_folds

    labels = np.array([record.label for record in records])
    fold = deal_folds(records, FOLDS, seed)
    answers = labels.copy()
    for number in np.unique(fold):
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=500))
        answers[fold == number] = model.fit(features[fold != number], labels[fold != number]).predict(
            features[fold == number]
        )
    return float(balanced_accuracy_score(labels, answers))


if __name__ == "__main__":
    main()
