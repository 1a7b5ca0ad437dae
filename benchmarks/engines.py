"""Which engine runs the frozen layers fastest: `python benchmarks/engines.py --project <a finished chest_ct run>`.

VGG16 up to block5_pool. Each engine has a process of its own, so that its peak memory is its own; the parent lets them
work one after the other, round after round, so that a busy machine is busy for all of them. A rate is an engine's best
round; core-seconds count only the time that the engine had a core. What int8 costs in accuracy: `benchmarks/int8.py`.

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
from machine import MATRIX, count_operations, matrix_peak
from numpy.typing import NDArray

from cnnClassifier.config.network import HeadConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.datasets.manifest import ImageRecord, read_manifest
from cnnClassifier.eight_bits import quantise
from cnnClassifier.preprocessing import preprocess

Floats = NDArray[np.float32]
Engine = Callable[[Floats], Floats]

SIZES, BATCHES, THREADS = (224, 288), (16, 32), 2
LAYER = "block5_pool"
BARE = "tf.function"  # what modeling.forward does: every ratio is to it
IN_PROCESS = 32  # images a timed pass
WARM_UP = 2  # images before it: traces and plans are made
IMAGES = 64  # of which int8 takes its ranges, too


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
            some = records[:: max(1, len(records) // IMAGES)][:IMAGES]
            prepare(Path(folder), arguments.project, some, size)
            compare(Path(folder), size, arguments.rounds)


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
        seed=1, backbone="VGG16", freeze=LAYER, head=HeadConfig(), preprocessing=PreprocessingSpec(image_size=size)
    )
    return cut(build_classifier(config, 2), LAYER).trunk


def serve(name: str, work: Path) -> None:
    """Answer each line of JSON, {"batch": n, "images": m}, with seconds and peak memory."""
    engine = ENGINES[name](work)
    pixels = np.load(work / "pixels.npy", mmap_mode="r")
    for line in sys.stdin:
        order = json.loads(line)
        images = np.array(pixels[: order["images"]])
        engine(images[:WARM_UP])
        began, worked = time.perf_counter(), time.process_time()
        for i in range(0, len(images), order["batch"]):
            engine(images[i : i + order["batch"]])
        seconds, cpu = time.perf_counter() - began, time.process_time() - worked
        print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak_memory()}), flush=True)  # noqa: T201


def peak_memory() -> float:
    """MB of this process so far. Not getrusage's: a process inherits that from the one that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6


# --- the parent ------------------------------------------------------------------------------


def prepare(work: Path, project: Path, records: list[ImageRecord], size: int) -> None:
    """Write pixels.npy, about.json, model.onnx and int8.onnx; TensorFlow stays in a process of its own."""
    spec = PreprocessingSpec(image_size=size)
    images = project / "artifacts/data_ingestion/images"
    files = [images / record.path for record in records]
    shape = (len(files), size, size, 3)
    pixels = np.lib.format.open_memmap(work / "pixels.npy", "w+", np.float32, shape)
    for row, file in enumerate(files):
        pixels[row] = preprocess(file.read_bytes(), spec)
    pixels.flush()
    code = f"import engines, pathlib; engines.export(pathlib.Path({str(work)!r}), {size})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent, stderr=subprocess.DEVNULL)
    quantise(work / "model.onnx", work / "int8.onnx", pixels)


def export(work: Path, size: int) -> None:
    """Write model.onnx, and about.json: how many floating-point operations its convolutions take an image."""
    from cnnClassifier.conversion import write_onnx

    model = trunk(size)
    write_onnx(model, ("features",), work / "model.onnx")
    (work / "about.json").write_text(json.dumps({"size": size, "operations": count_operations(model)}))


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


def ask(child: Any, batch: int, images: int) -> dict[str, float]:
    """Let a child work through so many images."""
    child.stdin.write(json.dumps({"batch": batch, "images": images}) + "\n")
    child.stdin.flush()
    answer: dict[str, float] = json.loads(child.stdout.readline())
    return answer


if __name__ == "__main__":
    main()
