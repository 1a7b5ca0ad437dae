"""The fuzzers, for a bounded time: they end without a finding."""

import re
import subprocess
import sys
from pathlib import Path

FUZZER = Path(__file__).with_name("decode_fuzzer.py")
SECONDS = 10


def test_fuzzing_the_way_from_bytes_to_pixels_finds_nothing(tmp_path):
    seeds, found = tmp_path / "seeds", tmp_path / "found"
    found.mkdir()
    options = [
        "-seed=1",
        f"-max_total_time={SECONDS}",
        "-timeout=20",
        f"-artifact_prefix={tmp_path}/",
    ]
    done = subprocess.run([sys.executable, FUZZER, *options, found, seeds], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr[-4000:]}\nThe input: {_crashes(tmp_path)}"
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert int(runs[1]) > len(list(seeds.iterdir()))


def _crashes(folder: Path) -> dict[str, str]:
    """The input that was found, to make a test of."""
    return {file.name: file.read_bytes().hex() for file in folder.glob("*-*") if file.is_file()}
