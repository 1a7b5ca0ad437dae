"""Read each file of a folder as picture and as archive; print what that cost, a line of JSON each.

python measure.py FOLDER MAX_PIXELS
"""

import json
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path

from cnnClassifier.archives import read_archive
from cnnClassifier.errors import DataError
from cnnClassifier.preprocessing import decode

STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def main() -> None:
    warnings.simplefilter("ignore")
    files = sorted(Path(sys.argv[1]).iterdir())
    for file in files:  # imports, and what decoders keep
        read(file.read_bytes()[:5000])
    for file in files:
        sys.stdout.write(json.dumps(cost(file.read_bytes())) + "\n")


def cost(data: bytes) -> dict[str, float]:
    PEAK.write_text("5")  # the peak is now what is in use
    before, start = peak(), time.process_time()
    read(data)
    return {"seconds": time.process_time() - start, "bytes": peak() - before}


def read(data: bytes) -> None:
    for reader in (lambda: decode(data, int(sys.argv[2])), lambda: read_archive(data)):
        with suppress(DataError):
            reader()


def peak() -> int:
    """The most memory that this process held since it was last asked to forget, in bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
