"""What scoring costs: `python benchmarks/scoring.py [--images 1000 10000] [--ray] [--package P --folder F]`.

For each number of images, each in a process of its own: the bare ONNX session in a loop (read, decode, one image a
pass), `main.py score`, and with `--ray` the same on a cluster of this machine with one worker and with two. Images per
second are those between the first part and the last, so that no start-up is in them; memory is the peak of the process,
and of the largest worker. Without `--package` it is a network of one layer and drawn pictures of 64 x 64. Run it on a
quiet machine.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from cnnClassifier.model_spec import ONNX_FILE, read_spec
from cnnClassifier.preprocessing import preprocess
from cnnClassifier.scoring.addresses import list_addresses

ROOT = Path(__file__).resolve().parents[1]
SIDE, KINDS = 64, 64
PARTS = 20
WORKER = "ray::MapWorker"


def main() -> None:
    """Print a table; with `--bare` it is the process that the first column is about."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="*", default=[1000, 10_000])
    parser.add_argument("--package", type=Path, help="a real model's, with --folder")
    parser.add_argument("--folder", type=Path, help="real images, in place of drawn ones")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        print(json.dumps(bare(options.package, options.folder)))  # noqa: T201
        return
    sys.path += [str(ROOT / "tests"), str(ROOT / "tests/scoring")]
    with tempfile.TemporaryDirectory() as work:
        compare(options, Path(work))


def compare(options: argparse.Namespace, work: Path) -> None:
    """All sizes, one after the other."""
    from tiny_release import write_tiny_package

    package = options.package or write_tiny_package(work / "tiny")
    folders = [options.folder] if options.folder else [draw(work, count) for count in options.images]
    say("| images | who | images/s | to bare | peak MB | largest worker, MB | load |\n|---|---|---|---|---|---|---|")
    for folder in folders:
        count = sum(1 for _ in list_addresses(str(folder.resolve()), ""))
        command = [sys.executable, __file__, "--bare", "--package", str(package), "--folder", str(folder)]
        alone = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        row(count, "bare session", alone["rate"], alone["rate"], alone["peak"], 0)
        row(count, "score", *measured(work, folder, package, count, options.batch, alone["rate"]))
        for workers in (1, 2) if options.ray else ():
            with cluster(workers) as (address, environment):
                more = ["--ray", address, "--workers", str(workers)]
                found = measured(work, folder, package, count, options.batch, alone["rate"], more, environment)
                row(count, f"--ray, workers: {workers}", *found)


def measured(
    work: Path,
    folder: Path,
    package: Path,
    count: int,
    batch: int,
    bare_rate: float,
    more: list[str] | None = None,
    environment: dict[str, str] | None = None,
) -> tuple[float, float, float, float]:
    """A run of the command: images a second, the bare session's, its own peak memory and that of a Ray worker."""
    out = Path(tempfile.mkdtemp(dir=work)) / "out"
    command = [sys.executable, "main.py", "score", str(folder.resolve()), "--out", str(out), "--package", str(package)]
    command += ["--batch", str(batch), "--part", str(max(1, count // PARTS)), *(more or [])]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=environment or os.environ.copy(), stdout=quiet, stderr=quiet)
    own = worker = 0.0
    while process.poll() is None:
        own = max(own, peak(process.pid))
        worker = max([worker, *(peak(each.pid) for each in workers_of_ray() if more)])
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    times = sorted(file.stat().st_mtime for file in out.glob("*.parquet"))
    rate = count * (len(times) - 1) / len(times) / (times[-1] - times[0])
    return rate, bare_rate, own, worker


def bare(package: Path, folder: Path) -> dict[str, float]:
    """The session alone, an image at a time, on all cores: what can be had without threads, lists or answers."""
    import onnxruntime

    spec = read_spec(package).preprocessing
    session = onnxruntime.InferenceSession(package / ONNX_FILE, providers=["CPUExecutionProvider"])
    files = list(list_addresses(str(folder.resolve()), ""))
    began = time.perf_counter()
    for file in files:
        session.run(["probabilities"], {"image": preprocess(Path(file).read_bytes(), spec)[np.newaxis]})
    return {"rate": len(files) / (time.perf_counter() - began), "peak": peak(os.getpid())}


def draw(work: Path, count: int) -> Path:
    """A folder of so many pictures, a thousand in each folder below it; links, as disks are not what is measured."""
    random, kinds = np.random.default_rng(0), []
    for number in range(KINDS):
        encoded = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)).save(encoded, "PNG")
        kinds.append(work / f"{count}-{number}.png")
        kinds[-1].write_bytes(encoded.getvalue())
    for number in range(count):
        file = work / str(count) / f"{number // 1000:03}" / f"{number:06}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.hardlink_to(kinds[number % KINDS])
    return work / str(count)


@contextmanager
def cluster(cores: int) -> Iterator[tuple[str, dict[str, str]]]:
    """A Ray cluster of one node with so many cores."""
    from ray_nodes import ray_head

    with ray_head(cores) as started:
        yield started


def workers_of_ray() -> Iterator[psutil.Process]:
    """The processes that hold the model."""
    for process in psutil.process_iter(["cmdline"]):
        if WORKER in " ".join(process.info["cmdline"] or []):
            yield process


def peak(pid: int) -> float:
    """MB that a process had in memory at most; 0 for one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), 0.0)


def row(count: int, who: str, rate: float, bare_rate: float, own: float, worker: float) -> None:
    """A line of the table."""
    ratio = rate / bare_rate
    say(f"| {count:,} | {who} | {rate:.1f} | {ratio:.2f} | {own:.0f} | {worker:.0f} | {os.getloadavg()[0]:.0f} |")


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
