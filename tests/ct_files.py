"""Small CT files as scanners write them, made here: of one density, with a patient's name that nobody may see."""

import io
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

SIDE = 32
PATIENT = "SECRET^PATIENT"


def ct(*densities: int, number: int = 1, window: tuple[float, float] = (40, 400)) -> bytes:
    """A CT file of a frame for each density, in Hounsfield units; `number` is its place in its series."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str((densities, number))])
    file = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.SeriesInstanceUID = generate_uid(entropy_srcs=["the series"])
    file.PatientName, file.Modality, file.InstanceNumber = PATIENT, "CT", number
    file.ImagePositionPatient, file.ImageOrientationPatient = [0, 0, 5 * number], [1, 0, 0, 0, 1, 0]
    file.Rows = file.Columns = SIDE
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 1
    file.RescaleSlope, file.RescaleIntercept, file.RescaleType = 1, -1000, "HU"
    file.WindowCenter, file.WindowWidth = window
    if len(densities) > 1:
        file.NumberOfFrames = len(densities)
    frames = [np.full((SIDE, SIDE), density + 1000, dtype="<i2") for density in densities]
    file.PixelData = b"".join(frame.tobytes() for frame in frames)
    written = io.BytesIO()
    file.save_as(written, enforce_file_format=True)
    return written.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A .zip of files by name."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return written.getvalue()


def series(densities: Sequence[int]) -> bytes:
    """A .zip of slices, from feet to head."""
    return zipped(
        {f"study/slice{number}.dcm": ct(density, number=number) for number, density in enumerate(densities, 1)}
    )
