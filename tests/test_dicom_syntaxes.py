"""DICOM in every transfer syntax: uncompressed, losslessly compressed, lossy, and as vendors write it."""

import io
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from PIL import Image

from cnnClassifier.dicom import decode_dicom
from cnnClassifier.dicom.form import read_form
from cnnClassifier.dicom.frames import read_frame
from cnnClassifier.errors import ImageError
from cnnClassifier.preprocessing import decode
from dicom_scans import WHOLE, scan, shown
from hostile import dicom_files as dicom
from hostile.dicom_files import SCAN
from pictures import encode

VENDORS = sorted((Path(pydicom.__file__).parent / "data/test_files").glob("*.dcm"))


def recoded(data: bytes, syntax: str, folder: Path) -> bytes:
    """The file as GDCM compresses it."""
    before, after = folder / "before.dcm", folder / "after.dcm"
    before.write_bytes(data)
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(before))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(after))
    assert writer.Write()
    return after.read_bytes()


@pytest.mark.parametrize("syntax", [dicom.EXPLICIT, dicom.IMPLICIT, dicom.BIG, dicom.DEFLATED])
def test_uncompressed_values_are_read_exactly_in_every_order_of_bytes(syntax):
    pixels = SCAN.astype(">i2") if syntax == dicom.BIG else SCAN
    picture = decode_dicom(scan(syntax, pixels=pixels.tobytes()), window=WHOLE)
    np.testing.assert_allclose(picture[..., 0], shown(SCAN, WHOLE), atol=1e-3)


LOSSLESS = {
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG lossless": "1.2.840.10008.1.2.4.57",
    "JPEG lossless, first order": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000 lossless": "1.2.840.10008.1.2.4.90",
}


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("name", LOSSLESS)
def test_a_losslessly_compressed_scan_is_the_uncompressed_one(name, signed, tmp_path):
    changes = {} if signed else {"pixels": (SCAN + 1024).astype(np.uint16).tobytes(), "signed": 0, "intercept": "-1024"}
    data = recoded(scan(**changes), LOSSLESS[name], tmp_path)
    np.testing.assert_allclose(decode_dicom(data, window=WHOLE)[..., 0], shown(SCAN, WHOLE), atol=1e-3)


def test_a_12_bit_scan_keeps_its_sign_in_jpeg_ls(tmp_path):
    data = recoded(scan(stored=12, high=11), LOSSLESS["JPEG-LS"], tmp_path)
    np.testing.assert_allclose(decode_dicom(data, window=WHOLE)[..., 0], shown(SCAN, WHOLE), atol=1e-3)


def test_lossy_jpeg_is_within_two_grey_levels():
    grey = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    frame = encode(Image.fromarray(grey), "JPEG", quality=95)
    octets = {"rows": 64, "columns": 64, "allocated": 8, "stored": 8, "signed": 0, "slope": None, "intercept": None}
    data = scan(dicom.JPEG, pixels=dicom.encapsulated(frame), **octets)
    np.testing.assert_allclose(decode_dicom(data)[..., 0], grey, atol=2)


def test_lossy_jpeg_2000_is_within_ten_hounsfield_units():
    values = (SCAN + 1000).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(values).save(
        stream, "JPEG2000", no_jp2=True, irreversible=True, quality_layers=[4], quality_mode="rates"
    )
    elements = dicom.ct(pixels=dicom.encapsulated(stream.getvalue()), signed=0, intercept="-1000")
    picture = decode_dicom(dicom.write(elements, "1.2.840.10008.1.2.4.91"), window=WHOLE)
    np.testing.assert_allclose(picture[..., 0], shown(SCAN, WHOLE), atol=255 * 10 / WHOLE.width)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", VENDORS, ids=lambda file: file.name)
def test_vendors_files_have_the_values_that_pydicom_finds_or_are_refused(file):
    data = file.read_bytes()
    try:
        form, _ = read_form(data)
        stored = read_frame(form, 0)
    except (ImageError, RuntimeError, ValueError):
        with pytest.raises(ImageError):
            decode(data)
        assert file.name not in READABLE
        return
    expected = pydicom.pixels.pixel_array(pydicom.dcmread(file), index=0)
    np.testing.assert_array_equal(stored.reshape(expected.shape), expected)


# Whatever else is refused, these must not be.
READABLE = {
    "CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm", "image_dfl.dcm", "examples_ybr_color.dcm", "examples_palette.dcm",
    "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle_2frame.dcm", "SC_ybr_full_422_uncompressed.dcm", "rtdose.dcm", "693_J2KI.dcm",
    "JPEGLSNearLossless_08.dcm", "JPEGLSNearLossless_16.dcm", "SC_rgb_jpeg_gdcm.dcm", "SC_rgb_small_odd_big_endian.dcm",
}  # fmt: skip
