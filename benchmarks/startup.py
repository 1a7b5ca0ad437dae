"""What starting costs: `python benchmarks/startup.py [--project FOLDER] [--times 3]`, where a run is finished.

Each command is a process of its own; the quickest of some runs counts, and its CPU seconds. `dvc repro` and `main.py`
are only measured where nothing is out of date: else they would train.
"""

import argparse
import os
import subprocess
import sys
import time
from importlib.util import cache_from_source, find_spec
from pathlib import Path

HELP = ["main.py", "--help"]
IMPORTS = {"import " + name: ["-c", f"import {name}"] for name in ("mlflow", "tensorflow", "keras")}
WITHOUT_WORK = {"dvc repro, nothing to do": ["-m", "dvc", "repro"], "main.py, nothing to do": ["main.py"]}


def main() -> None:
    """Print a row for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path())
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    commands = {"main.py --help": HELP, **IMPORTS}
    if is_up_to_date(options.project):
        commands |= WITHOUT_WORK
    else:
        print("stages are out of date here: `dvc repro` is not measured")  # noqa: T201
    print(  # noqa: T201
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, bytecode of the libraries is "
        f"{'kept' if bytecode_is_kept() else 'compiled anew by each process'}\n"
        "| | seconds | CPU seconds |\n|---|---|---|"
    )
    for name, arguments in commands.items():
        seconds, cpu = min(run(arguments, options.project) for _ in range(options.times))
        print(f"| {name} | {seconds:.2f} | {cpu:.2f} |", flush=True)  # noqa: T201


def run(arguments: list[str], project: Path) -> tuple[float, float]:
    """Seconds and CPU seconds of a Python process and those it starts."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"python {' '.join(arguments)} failed in {project.resolve()}; run it there to see why")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


def is_up_to_date(project: Path) -> bool:
    """Whether DVC would run nothing."""
    status = [sys.executable, "-m", "dvc", "status", "--quiet"]
    return subprocess.run(status, cwd=project, check=False, stderr=subprocess.DEVNULL).returncode == 0


def bytecode_is_kept() -> bool:
    """Whether Keras was compiled before: if not, importing takes several times as long."""
    found = find_spec("keras")
    return bool(found and found.origin and Path(cache_from_source(found.origin)).is_file())


if __name__ == "__main__":
    main()
