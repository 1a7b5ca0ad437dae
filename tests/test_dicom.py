"""DICOM files: units and windows, colours and frames, and not a word of the patient."""

import io
import logging
import subprocess
import sys
import warnings

import numpy as np
import pydicom
import pytest

from cnnClassifier.dicom import PRESETS, Window, decode_dicom, describe, is_dicom
from cnnClassifier.dicom.elements import MOST_INFLATED
from cnnClassifier.errors import ImageError
from cnnClassifier.preprocessing import decode
from dicom_scans import WHOLE, scan, shown
from hostile import dicom_files as dicom
from hostile.dicom_files import SCAN

# --- windows ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_a_window_is_linear_between_its_ends_in_hounsfield_units(name):
    window = PRESETS[name]
    picture = decode_dicom(scan(), window=window)
    np.testing.assert_allclose(picture[..., 0], shown(SCAN, window), atol=1e-3)


def test_rescale_comes_before_the_window():
    picture = decode_dicom(scan(slope="2", intercept="-500"), window=WHOLE)
    np.testing.assert_allclose(picture[..., 0], shown(SCAN * 2.0 - 500, WHOLE), atol=1e-3)


@pytest.mark.parametrize(("center", "width"), [(float("nan"), 400), (40, float("inf")), (40, 0.5), (40, -400)])
def test_a_window_that_is_none_is_refused(center, width):
    with pytest.raises(ValueError, match="Received"):
        Window(center, width)


def test_by_default_a_file_is_shown_through_its_own_first_window():
    data = scan(center="40\\-600", width="400\\1500")
    assert describe(data).window == describe(data).default_window == Window(40, 400)
    np.testing.assert_array_equal(decode_dicom(data), decode_dicom(data, window=Window(40, 400)))


@pytest.mark.parametrize(("center", "width"), [("40", "0"), ("nan", "400"), ("a", "b"), ("40", "")])
def test_a_ct_without_a_usable_window_is_shown_wide(center, width):
    data = scan(center=center, width=width)
    assert describe(data).window is None
    np.testing.assert_array_equal(decode_dicom(data), decode_dicom(data, window=PRESETS["wide"]))


def test_what_is_no_ct_is_stretched_between_percentiles_padding_left_out():
    values = SCAN.copy()
    values[:20] = -32768
    data = scan(modality="MR", padding=-32768, pixels=values.tobytes(), slope=None, intercept=None)
    assert describe(data).default_window is None
    picture = decode_dicom(data)[..., 0]
    assert not picture[:20].any()
    assert picture[20:].min() == 0
    assert picture[20:].max() == 255
    assert np.unique(picture[20:]).size > 70


def test_monochrome1_is_inverted_and_its_padding_stays_black():
    values = SCAN.copy()
    values[0] = -2000
    data = scan(photometric="MONOCHROME1", pixels=values.tobytes(), padding=-2000)
    picture = decode_dicom(data, window=WHOLE)[..., 0]
    np.testing.assert_allclose(picture[1:], 255 - shown(SCAN[1:], WHOLE), atol=1e-3)
    assert not picture[0].any()


def test_8_bits_that_nothing_rescales_are_shown_as_they_are():
    values = np.arange(SCAN.size, dtype=np.uint8)
    octets = {"allocated": 8, "stored": 8, "signed": 0, "slope": None, "intercept": None, "modality": "OT"}
    picture = decode_dicom(scan(pixels=values.tobytes(), **octets))
    np.testing.assert_array_equal(picture.ravel(), values)


@pytest.mark.parametrize(("changes", "hounsfield"), [
    ({}, True), ({"modality": "MR"}, False), ({"slope": None, "intercept": None}, False),
    ({"kind": "HU"}, True), ({"kind": "OD"}, False),
])  # fmt: skip
def test_hounsfield_units_are_those_of_a_rescaled_ct(changes, hounsfield):
    assert describe(scan(**changes)).hounsfield is hounsfield


@pytest.mark.parametrize(("signed", "first"), [(1, -1000), (0, 24)])
def test_a_table_of_values_begins_where_it_says(signed, first):
    values = np.linspace(first, first + 2000, SCAN.size).astype("<i2" if signed else "<u2").reshape(SCAN.shape)
    file = pydicom.dcmread(io.BytesIO(scan(signed=signed, pixels=values.tobytes(), slope=None, intercept=None)))
    table = pydicom.Dataset()
    table.add_new("LUTDescriptor", "SS" if signed else "US", [2001, first, 16])
    table.add_new("LUTData", "US", (np.arange(2001) * 30).tolist())
    table.ModalityLUTType = "US"
    file.ModalityLUTSequence = [table]
    written = io.BytesIO()
    file.save_as(written)
    expected = pydicom.pixels.apply_modality_lut(values, file)
    window = Window(30_000, 60_000)
    np.testing.assert_allclose(
        decode_dicom(written.getvalue(), window=window)[..., 0], shown(expected, window), atol=1e-3
    )


# --- colours and frames -------------------------------------------------------------------


def colours(pixels: bytes, samples: int = 3, **changes: object) -> bytes:
    octets = {"samples": samples, "allocated": 8, "stored": 8, "signed": 0, "slope": None, "intercept": None}
    return scan(modality="US", pixels=pixels, rows=2, columns=2, **(octets | changes))


def test_colours_stay_by_pixel_and_by_plane():
    rgb = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20
    assert not describe(colours(rgb.tobytes(), photometric="RGB")).grey
    np.testing.assert_array_equal(decode_dicom(colours(rgb.tobytes(), photometric="RGB")), rgb)
    planes = rgb.transpose(2, 0, 1).tobytes()
    np.testing.assert_array_equal(decode_dicom(colours(planes, photometric="RGB", planar=1)), rgb)


def test_luma_and_chroma_become_rgb():
    red = bytes([76, 85, 255] * 4)
    picture = decode_dicom(colours(red, photometric="YBR_FULL"))
    np.testing.assert_allclose(picture[0, 0], [254, 0, 0], atol=2)


def test_a_frame_is_chosen_by_its_number():
    frames = np.stack([np.full(SCAN.shape, value, np.int16) for value in (-500, 0, 500)])
    data = scan(pixels=frames.tobytes(), frames="3")
    assert describe(data).frames == 3
    for number, value in enumerate((-500, 0, 500)):
        picture = decode_dicom(data, window=WHOLE, frame=number)
        np.testing.assert_allclose(picture, shown(value, WHOLE), atol=1e-3)


@pytest.mark.parametrize("frame", [-1, 3, 10**12])
def test_a_frame_that_is_not_there_is_refused(frame):
    data = scan(pixels=SCAN.tobytes() * 3, frames="3")
    with pytest.raises(ImageError, match="this file has 3"):
        decode_dicom(data, frame=frame)


def test_too_many_pixels_are_refused_before_any_is_decoded():
    with pytest.raises(ImageError, match="30000 x 20000 pixels are more than the 4,000,000 allowed"):
        decode_dicom(scan(rows=20_000, columns=30_000, pixels=b"\0\0"), max_pixels=4_000_000)


def test_a_frame_of_an_enhanced_ct_has_its_own_window_and_rescale():
    data = dicom.enhanced((40, 0), (-600, -100))
    for number, (center, intercept) in enumerate([(40, 0), (-600, -100)]):
        picture = decode_dicom(data, frame=number)[..., 0]
        np.testing.assert_allclose(picture, shown(SCAN + intercept, Window(center, 400)), atol=1e-3)
        assert describe(data, number).window == describe(data, number).default_window == Window(center, 400)


# --- limits and privacy -------------------------------------------------------------------


def test_a_deflated_file_is_inflated_no_further_than_its_limit():
    body = dicom.element(0x00091010, "OB", b"", length=MOST_INFLATED) + bytes(MOST_INFLATED)
    with pytest.raises(ImageError, match="64 MB"):
        describe(dicom.head(dicom.DEFLATED) + dicom.deflate(body))


def test_without_dicm_after_the_preamble_nothing_is_taken_for_dicom():
    assert is_dicom(scan())
    assert not is_dicom(scan()[132:])
    assert not is_dicom(b"")


def test_no_word_of_the_data_set_is_shown_logged_or_warned_of(capfd, caplog):
    caplog.set_level(logging.DEBUG)
    secret = dicom.PATIENT
    words = {"charset": (0x00080005, "CS", secret)}
    said = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for field in ("slope", "frames", "center", "photometric", "modality", "kind"):
            elements = dicom.ct(**{field: secret}) | {tag: (vr, value) for tag, vr, value in words.values()}
            for data in (dicom.write(elements), dicom.write(elements, secret), dicom.write(elements)[:-100]):
                try:
                    said.append(repr(describe(data)))
                    decode(data)
                except ImageError as error:
                    said.append(str(error))
    output = capfd.readouterr()
    everything = [*said, *(str(warning.message) for warning in warned), caplog.text, output.out, output.err]
    assert not [text for text in everything if "Mustermann" in text or "4711" in text]


def test_reading_pictures_that_are_no_dicom_does_not_import_pydicom():
    script = "import sys, cnnClassifier.preprocessing, cnnClassifier.dicom; sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
