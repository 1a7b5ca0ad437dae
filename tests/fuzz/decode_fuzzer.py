"""What libFuzzer finds on the way from bytes to pixels: any error but our own is a crash.

    python tests/fuzz/decode_fuzzer.py SEEDS [FOUND] [libFuzzer's options, as -max_total_time=60 or -seed=1]

SEEDS is filled with the hostile corpus where it is empty; a folder FOUND before it keeps what the fuzzer finds new.
Only our modules are instrumented: numpy, Pillow and pydicom would slow it down twentyfold. A compressed frame
that only GDCM reads ends at its door, as each would start a process.
"""

import resource
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cnnClassifier"]):
    from cnnClassifier.archives import ArchiveLimits, read_archive
    from cnnClassifier.dicom import describe, frames, is_dicom, picture  # noqa: F401 - imported here, not when called
    from cnnClassifier.errors import ArchiveError, ImageError
    from cnnClassifier.preprocessing import decode

MAX_PIXELS = 100_000
LONGEST = 8192
MEMORY = 4 * 2**30  # bytes of address space, of which numpy's threads reserve much
LIMITS = ArchiveLimits(entries=50, member_bytes=2**20, total_bytes=2**21)


def read(data: bytes) -> None:
    """All that an upload goes through."""
    with suppress(ImageError):
        decode(data, MAX_PIXELS)
    if is_dicom(data):
        with suppress(ImageError):
            describe(data)
    with suppress(ArchiveError):
        for member in read_archive(data, LIMITS):
            assert (member.data is None) == bool(member.error)


def fill(seeds: Path) -> None:
    """Write the smaller files of the corpus, so that the fuzzer starts from formats and not from nothing."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from hostile.corpus import CASES

    seeds.mkdir(parents=True, exist_ok=True)
    for number, case in enumerate(CASES):
        if len(case.data) <= LONGEST:
            (seeds / f"{number:03d}").write_bytes(case.data)


def refuse(*_: object) -> bytes:
    raise ImageError("not decoded while fuzzing")


def main() -> None:
    warnings.simplefilter("ignore")
    # libFuzzer's own -rss_limit_mb looks at a peak that Linux hands down from the process which started this one.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    frames._with_gdcm = refuse
    folders = [Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")]
    if folders and not (folders[-1].is_dir() and any(folders[-1].iterdir())):
        fill(folders[-1])
    atheris.Setup([*sys.argv, "-rss_limit_mb=0", f"-max_len={LONGEST}"], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
