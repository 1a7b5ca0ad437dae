"""The corpus damaged at random: only our own errors may come of it."""

import random
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnClassifier.archives import read_archive
from cnnClassifier.dicom import decode_dicom, describe, is_dicom
from cnnClassifier.errors import ArchiveError, ImageError
from cnnClassifier.preprocessing import decode
from hostile.corpus import CASES, MAX_PIXELS

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

LONGEST = 20_000  # bytes of a case worth damaging: the longer ones say nothing that the shorter don't
SMALL = [case for case in CASES if 0 < len(case.data) <= LONGEST and "GDCM" not in case.name]
BOUNDED = settings(
    derandomize=True, max_examples=1000, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)

seeds = st.integers(0, 2**32)


def damaged(data: bytes, seed: int) -> bytes:
    """The bytes with some changed, taken out, put in or repeated."""
    draw = random.Random(seed)
    changed = bytearray(data)
    for _ in range(draw.choice([1, 2, 4, 16])):
        place = draw.randrange(min(len(changed), draw.choice([64, 512, LONGEST]))) if changed else 0
        match draw.randrange(6):
            case 0:
                del changed[place : place + draw.randrange(1, 64)]
            case 1:
                changed[place:place] = draw.randbytes(draw.randrange(1, 16))
            case 2:
                changed[place:place] = changed[place : place + draw.randrange(1, 256)]
            case _:
                changed[place : place + 1] = bytes([draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])])
    return bytes(changed)


@BOUNDED
@given(seeds, st.sampled_from(SMALL))
def test_a_damaged_file_is_a_picture_or_an_image_error(seed, case):
    with suppress(ImageError):
        assert decode(damaged(case.data, seed), MAX_PIXELS).size


@BOUNDED
@given(seeds, st.sampled_from([case for case in SMALL if is_dicom(case.data)]), st.integers(-1, 3))
def test_a_damaged_dicom_file_is_a_picture_or_an_image_error(seed, case, frame):
    data = case.data[:132] + damaged(case.data[132:], seed)
    for read in (describe, lambda data: decode_dicom(data, frame=frame, max_pixels=MAX_PIXELS)):
        with suppress(ImageError):
            assert read(data) is not None


@BOUNDED
@given(seeds, st.sampled_from([case for case in SMALL if case.members is not None]))
def test_a_damaged_archive_gives_members_or_an_archive_error(seed, case):
    try:
        members = read_archive(damaged(case.data, seed))
    except ArchiveError:
        return
    assert members
    assert all((member.data is None) == bool(member.error) for member in members)


@BOUNDED
@given(st.binary(max_size=400))
def test_any_bytes_are_an_image_error_or_a_picture(data):
    for whole in (data, bytes(128) + b"DICM" + data, b"PK\x03\x04" + data + b"PK\x05\x06" + data):
        with suppress(ImageError):
            decode(whole, MAX_PIXELS)
        with suppress(ArchiveError):
            read_archive(whole)
