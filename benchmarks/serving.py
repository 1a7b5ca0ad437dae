"""What serving costs: `python benchmarks/serving.py [--images <a folder>] [--tensorflow] [--family] [--servers]`.

Side by side in one run: a bare ONNX Runtime session in a loop, this app (`python app.py`, a process of its own, asked
over HTTP), and with `--family` the usual app (a Flask route that loads the Keras model in each request). `--tensorflow`
also times the session against TensorFlow in float32, and `--servers` this app behind gunicorn. Load comes from
`load.py` on the same cores, so it is part of what is measured. Times are by the clock: run it on a quiet machine.
"""

import argparse
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from load import Outcome, form, load
from numpy.typing import NDArray
from sample_pictures import pictures

from cnnClassifier.config.network import HeadConfig, PreprocessingSpec
from cnnClassifier.config.types import PrepareBaseModelConfig
from cnnClassifier.model_spec import ONNX_FILE, read_spec
from cnnClassifier.preprocessing import preprocess

Floats = NDArray[np.float32]

ROOT = Path(__file__).resolve().parents[1]
THREADS = os.cpu_count() or 1
BATCHES = (1, 2, 4, 8)
CLIENTS, FLOOD = 16, 64
PORT = 18_123


def main() -> None:
    """Print tables; with `--role` it is one of the processes that the tables are about."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=ROOT / "models/chest_ct")
    parser.add_argument("--images", type=Path, help="real images (default: drawn ones)")
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    parser.add_argument("--batch", type=int, nargs="*", default=[], help="also serve with batches of up to so many")
    parser.add_argument("--tensorflow", action="store_true")
    parser.add_argument("--family", action="store_true")
    parser.add_argument("--servers", action="store_true")
    parser.add_argument("--role", choices=ROLES, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        print(json.dumps(ROLES[options.role](options.package, options.work)))  # noqa: T201
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(options, Path(folder))


def compare(options: argparse.Namespace, work: Path) -> None:
    """All measurements, one after the other."""
    files = pictures(options.images)
    spec = read_spec(options.package).preprocessing
    began = time.perf_counter()
    pixels = np.stack([preprocess(data, spec) for data in files])
    decode = 1000 * (time.perf_counter() - began) / len(files)
    np.save(work / "pixels.npy", pixels)
    say(f"load before: {os.getloadavg()[0]:.1f}; {len(files)} pictures of {np.mean([*map(len, files)]) / 1000:.0f} kB")
    say(f"decoding {decode:.1f} ms")
    bodies = [form(data) for data in files]
    served = [("python app.py", [sys.executable, "app.py"], {})]
    served += [(f"batch {size}", [sys.executable, "app.py"], {"batch": size}) for size in options.batch]
    if options.servers:
        gunicorn = [str(Path(sys.executable).parent / "gunicorn"), "-b", f"127.0.0.1:{PORT}", "--threads", "24"]
        served.append(("gunicorn gthread", [*gunicorn, "-w", "1", "app:app"], {}))
    for name, command, changes in served:
        measure(name, command, changes, options, work, bodies, decode)
    if options.tensorflow:
        against_tensorflow(options.package, work, read_spec(options.package).precision)
    if options.family:
        family(spec.image_size, work, files, options.seconds)
    say(f"load after: {os.getloadavg()[0]:.1f}")


def measure(
    name: str,
    command: list[str],
    changes: dict[str, int],
    options: argparse.Namespace,
    work: Path,
    bodies: Sequence[bytes],
    decode: float,
) -> None:
    """One server: ready, alone, together, flooded; beside a bare session's better run of two, before it and after."""
    before = role("bare", options.package, work)
    with running(command, options.package, work, changes) as (process, ready):
        fresh = memory(process.pid)
        load(PORT, bodies, 1, 2)
        alone = load(PORT, bodies, 1, options.seconds)
        together = load(PORT, bodies, CLIENTS, options.seconds)
        calm = memory(process.pid)
        flood = load(PORT, bodies, FLOOD, options.seconds)
        rude = load(PORT, bodies, FLOOD, options.seconds, polite=False)
        full, most = memory(process.pid), memory(process.pid, "VmHWM")
    bare = before, role("bare", options.package, work)
    one = min(each["p50"] for each in bare) + decode
    best = max(rate for each in bare for rate in each["rates"].values())
    say(
        f"\n{name}: ready after {ready:.1f} s; resident memory {fresh} MB when ready, {calm} MB after {CLIENTS} "
        f"clients, {full} MB after the floods (peak {most} MB)\n"
        f"bare session: {one - decode:.0f} ms, {best:.2f} images/s at its best batch\n"
        "| clients | accepted/s | p50, ms | p99, ms | statuses | ratio |\n|---|---|---|---|---|---|"
    )
    row("1", alone, f"p50 / (bare + decoding) {alone.quantile(0.5) / one:.2f}")
    row(str(CLIENTS), together, f"rate / bare's best {together.rate / best:.2f}")
    row(f"{FLOOD}, polite", flood, f"p99 / p50 {flood.quantile(0.99) / flood.quantile(0.5):.2f}")
    row(f"{FLOOD}, rude", rude, f"p99 / p50 {rude.quantile(0.99) / rude.quantile(0.5):.2f}")
    say(f"refused without Retry-After: {flood.without_retry_after + rude.without_retry_after}")


def row(clients: str, outcome: Outcome, ratio: str) -> None:
    """A line of the table."""
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(outcome.statuses.items()))
    statuses += f", cut off: {outcome.cut_off}" if outcome.cut_off else ""
    p50, p99 = outcome.quantile(0.5), outcome.quantile(0.99)
    say(f"| {clients} | {outcome.rate:.2f} | {p50:.0f} | {p99:.0f} | {statuses} | {ratio} |")


def against_tensorflow(package: Path, work: Path, precision: str) -> None:
    """What is served against TensorFlow, an image at a time, one after the other."""
    ours, theirs = role("bare", package, work)["p50"], role("tensorflow", package, work)["p50"]
    say(f"\n{precision} {ours:.0f} ms, TensorFlow float32 (tf.function) {theirs:.0f} ms: {theirs / ours:.2f} times")


def family(size: int, work: Path, files: Sequence[bytes], seconds: float) -> None:
    """The usual app: a model file, loaded in each request."""
    role("save_keras", work, work)
    program = [str(Path(__file__).with_name("family_app.py")), str(size), str(PORT), str(work / "model.keras")]
    bodies = [json.dumps({"image": base64.b64encode(data).decode()}).encode() for data in files]
    kind = {"Content-Type": "application/json"}
    with started([sys.executable, *program], os.environ.copy()) as (process, ready):
        alone = load(PORT, bodies, 1, seconds, kind)
        together = load(PORT, bodies, CLIENTS, seconds, kind)
        say(
            f"\nusual app: ready after {ready:.1f} s, {memory(process.pid)} MB (peak {memory(process.pid, 'VmHWM')})"
            "\n| clients | accepted/s | p50, ms | p99, ms | statuses | |\n|---|---|---|---|---|---|"
        )
        row("1", alone, "")
        row(str(CLIENTS), together, "")


# --- servers -----------------------------------------------------------------------------------


@contextmanager
def running(
    command: list[str], package: Path, work: Path, changes: dict[str, int]
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """This app, in a folder of its own so that `changes` of config.yaml's `serving` are not the project's."""
    place = work / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for name in ("app.py", "templates", "static"):
        (place / name).symlink_to(ROOT / name)
    text = (ROOT / "config/config.yaml").read_text()
    for key, value in changes.items():
        lines = [f"  {key}: {value}" if line.startswith(f"  {key}:") else line for line in text.splitlines()]
        text = "\n".join(lines)
    (place / "config").mkdir()
    (place / "config/config.yaml").write_text(text)
    (place / "app.py").unlink()
    shutil.copyfile(ROOT / "app.py", place / "app.py")  # it looks for everything beside itself
    environ = os.environ | {"CNNCLASSIFIER_MODEL_DIR": str(package.resolve()), "PORT": str(PORT), "HOST": "127.0.0.1"}
    with started(command, environ, place) as found:
        yield found


@contextmanager
def started(
    command: list[str], environ: dict[str, str], folder: Path = ROOT
) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A server process, and the seconds until it was ready."""
    began = time.perf_counter()
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=quiet, stderr=quiet)
    try:
        while not is_ready():
            if process.poll() is not None:
                raise SystemExit(f"{command} ended with {process.returncode}")
            time.sleep(0.02)
        yield process, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def is_ready() -> bool:
    """Whether a server answers 200 to /ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/ready", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def memory(pid: int, what: str = "VmRSS") -> int:
    """MB of a process, and of those that it started."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return sum(_memory(each, what) for each in [str(pid), *children])


def _memory(pid: str, what: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) * 1024 // 1_000_000


# --- engines, each in a process of its own -----------------------------------------------------


def role(name: str, package: Path, work: Path) -> dict[str, Any]:
    """Have another process measure something."""
    command = [sys.executable, __file__, "--role", name, "--package", str(package), "--work", str(work)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def bare(package: Path, work: Path) -> dict[str, Any]:
    """A session with ONNX Runtime's own defaults on all cores."""
    run, pixels = session(package / ONNX_FILE), np.load(work / "pixels.npy")
    alone = times(run, pixels, 1)
    rates = {size: round(size / float(np.median(times(run, pixels, size))), 2) for size in BATCHES}
    return {"p50": 1000 * float(np.median(alone)), "rates": rates}


def tensorflow(package: Path, work: Path) -> dict[str, Any]:
    """The same network in TensorFlow, traced once. Its weights are random: that costs no time."""
    from cnnClassifier.modeling import forward

    run, pixels = forward(keras_model(read_spec(package).preprocessing)), np.load(work / "pixels.npy")
    return {"p50": 1000 * float(np.median(times(run, pixels, 1)))}


def save_keras(_: Path, work: Path) -> dict[str, Any]:
    """The usual app's model file."""
    size = np.load(work / "pixels.npy", mmap_mode="r").shape[1]
    keras_model(PreprocessingSpec(image_size=size)).save(work / "model.keras")
    return {}


def keras_model(spec: PreprocessingSpec) -> Any:
    """VGG16 with a small head and random weights."""
    from cnnClassifier.modeling import build_classifier

    config = PrepareBaseModelConfig(seed=1, backbone="VGG16", weights="none", head=HeadConfig(), preprocessing=spec)
    return build_classifier(config, 4)


ROLES = {"bare": bare, "tensorflow": tensorflow, "save_keras": save_keras}


def session(file: Path) -> Any:
    """Images in, probabilities out."""
    import onnxruntime

    from cnnClassifier.model_spec import INPUT, OUTPUT

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    opened = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda batch: opened.run([OUTPUT], {INPUT: batch})


def times(run: Any, pixels: Floats, size: int, images: int = 32) -> list[float]:
    """Seconds of each pass of `size` images, after two to warm up."""
    batches = [np.take(pixels, range(first, first + size), axis=0, mode="wrap") for first in range(0, images, size)]
    found = []
    for batch in [batches[0], batches[0], *batches]:
        began = time.perf_counter()
        run(batch)
        found.append(time.perf_counter() - began)
    return found[2:]


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
