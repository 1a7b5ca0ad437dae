"""Every file of the corpus: what comes of it, in how much time and memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cnnClassifier.archives import is_archive, read_archive
from cnnClassifier.errors import ArchiveError, ImageError
from cnnClassifier.preprocessing import decode
from hostile.corpus import CASES, MAX_PIXELS, PICTURE, TOO_MANY, UNREADABLE

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

ARCHIVES = [case for case in CASES if case.members is not None]
MEASURE = Path(__file__).with_name("measure.py")
SECONDS = 5  # of computing, on a slow machine
GROWTH = 200 * 2**20  # 64 MB of a deflated DICOM file, held twice; 4 megapixels of three floats, held four times


def ids(case):
    return case.name


def outcome(data: bytes) -> str:
    try:
        pixels = decode(data, MAX_PIXELS)
    except ImageError as error:
        return TOO_MANY if "pixels are more than" in str(error) else UNREADABLE
    assert pixels.dtype == "float32"
    assert pixels.shape[2] in (1, 3)
    assert pixels.min() >= 0
    assert pixels.max() <= 255
    return PICTURE


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_file_is_a_picture_or_is_refused(case):
    assert outcome(case.data) == case.reading


@pytest.mark.parametrize("case", ARCHIVES, ids=ids)
def test_an_archive_gives_its_files_or_is_refused(case):
    if case.members == "refused":
        with pytest.raises(ArchiveError):
            read_archive(case.data)
        return
    members = read_archive(case.data)
    assert (
        sum(member.data is not None for member in members),
        sum(bool(member.error) for member in members),
    ) == case.members
    assert not any(set(member.name) & {"/", "\\", "\0"} for member in members)


@pytest.mark.parametrize("case", [case for case in CASES if case.members is None], ids=ids)
def test_what_is_no_archive_is_refused_as_one(case):
    assert not is_archive(case.data)
    with pytest.raises(ArchiveError):
        read_archive(case.data)


# --- what reading costs -------------------------------------------------------------------


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    """Seconds of computing and growth in bytes for each case, measured in a process that holds nothing else."""
    folder = tmp_path_factory.mktemp("corpus")
    for number, case in enumerate(CASES):
        (folder / f"{number:03d}").write_bytes(case.data)
    done = subprocess.run(
        [sys.executable, MEASURE, folder, str(MAX_PIXELS)], capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {case.name: line for case, line in zip(CASES, lines, strict=True)}


def test_no_file_takes_long(costs):
    assert not {name: cost for name, cost in costs.items() if cost["seconds"] > SECONDS}


def test_no_file_takes_much_memory(costs):
    assert not {name: cost for name, cost in costs.items() if cost["bytes"] > GROWTH}
