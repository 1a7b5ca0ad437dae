"""DICOM files byte by byte, so that they may be wrong in any way."""

import struct
import zlib

import numpy as np

EXPLICIT, IMPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
)  # fmt: skip
RLE, JPEG, JPEG_LOSSLESS, JPEG_LS, JPEG_2000 = (
    "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
)  # fmt: skip
LONG = ("OB", "OW", "SQ", "UN", "UT")
UNDEFINED = 0xFFFFFFFF
PATIENT = "Mustermann^Erika"

SCAN = np.add.outer(np.arange(40) * 20, np.arange(48) * 10).astype(np.int16) - 1000  # HU

Elements = dict[int, tuple[str, object]]


def element(tag: int, vr: str, value: object, syntax: str = EXPLICIT, length: int | None = None) -> bytes:
    """One element; `length` may lie."""
    order = ">" if syntax == BIG else "<"
    content = encode_value(vr, value, order)
    size = len(content) if length is None else length
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + struct.pack(f"{order}I", size) + content
    if vr in LONG:
        return head + vr.encode() + b"\0\0" + struct.pack(f"{order}I", size) + content
    return head + vr.encode() + struct.pack(f"{order}H", size) + content


def encode_value(vr: str, value: object, order: str) -> bytes:
    if isinstance(value, bytes):
        return value + b"\0" * (len(value) % 2)
    if vr in ("US", "SS"):
        values = value if isinstance(value, tuple) else (value,)
        return struct.pack(f"{order}{len(values)}{'h' if vr == 'SS' else 'H'}", *values)
    spelt = str(value).encode()
    return spelt + b" " * (len(spelt) % 2)


def item(*elements: bytes) -> bytes:
    """An item of a sequence, of stated length."""
    content = b"".join(elements)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def encapsulated(*frames: bytes) -> bytes:
    """Frames as compressed pixel data: no table of offsets, one fragment each."""
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    return b"".join(item(frame) for frame in [b"", *padded]) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def ct(**changes: object) -> Elements:
    """A CT slice's elements: SCAN in HU without a window. Changes by keyword, `rows=9`; None leaves one out."""
    elements: Elements = {
        "modality": (0x00080060, "CS", "CT"),
        "name": (0x00100010, "PN", PATIENT),
        "identity": (0x00100020, "LO", "4711-0815"),
        "samples": (0x00280002, "US", 1),
        "photometric": (0x00280004, "CS", "MONOCHROME2"),
        "rows": (0x00280010, "US", SCAN.shape[0]),
        "columns": (0x00280011, "US", SCAN.shape[1]),
        "allocated": (0x00280100, "US", 16),
        "stored": (0x00280101, "US", 16),
        "high": (0x00280102, "US", 15),
        "signed": (0x00280103, "US", 1),
        "intercept": (0x00281052, "DS", "0"),
        "slope": (0x00281053, "DS", "1"),
        "pixels": (0x7FE00010, "OW", SCAN.tobytes()),
    }
    added = {
        "planar": (0x00280006, "US"), "frames": (0x00280008, "IS"), "padding": (0x00280120, "SS"),
        "center": (0x00281050, "DS"), "width": (0x00281051, "DS"), "kind": (0x00281054, "LO"),
        "number": (0x00200013, "IS"), "position": (0x00200032, "DS"), "orientation": (0x00200037, "DS"),
    }  # fmt: skip
    for name, value in changes.items():
        if value is None:
            del elements[name]
        else:
            tag, vr = elements[name][:2] if name in elements else added[name]
            elements[name] = (tag, vr, value)
    return {tag: (vr, value) for tag, vr, value in elements.values()}


def write(elements: Elements, syntax: str = EXPLICIT, extra: bytes = b"", preamble: bytes = bytes(128)) -> bytes:
    """A whole file; `extra` stands raw before the elements. Pixels of a compressed syntax have no stated length."""
    body = extra
    for tag, (vr, value) in sorted(elements.items()):
        compressed = tag == 0x7FE00010 and syntax not in (EXPLICIT, IMPLICIT, BIG, DEFLATED)
        kind = "OB" if compressed else vr
        body += element(tag, kind, value, syntax, UNDEFINED if compressed else None)
    return head(syntax, preamble) + (deflate(body) if syntax == DEFLATED else body)


def head(syntax: str = EXPLICIT, preamble: bytes = bytes(128)) -> bytes:
    meta = element(0x00020010, "UI", syntax.encode())
    return preamble + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta


def deflate(body: bytes) -> bytes:
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return deflater.compress(body) + deflater.flush()


def rle(values: np.ndarray) -> bytes:
    """A frame, shape (rows, columns, samples), as run-length code that copies every byte."""
    octets = values.astype(values.dtype.newbyteorder(">")).reshape(-1, values.shape[-1])
    planes = octets.T.copy().view(np.uint8).reshape(values.shape[-1], -1, values.itemsize)
    segments = [
        literal(planes[sample, :, octet].tobytes()) for sample in range(len(planes)) for octet in range(values.itemsize)
    ]
    offsets = np.zeros(16, "<u4")
    offsets[0] = len(segments)
    offsets[1 : len(segments) + 1] = 64 + np.cumsum([0, *map(len, segments[:-1])])
    return offsets.tobytes() + b"".join(segments)


def literal(octets: bytes) -> bytes:
    parts = [octets[start : start + 128] for start in range(0, len(octets), 128)]
    packed = b"".join(bytes([len(part) - 1]) + part for part in parts)
    return packed + b"\0" * (len(packed) % 2)


def enhanced(*frames: tuple[int, int]) -> bytes:
    """A CT of SCANs, each with a window of its own (its centre, 400 wide) and its own intercept."""

    def described(center: int, intercept: int) -> bytes:
        window = element(0x00281050, "DS", center) + element(0x00281051, "DS", 400)
        rescale = element(0x00281052, "DS", intercept) + element(0x00281053, "DS", 1)
        return item(element(0x00289132, "SQ", item(window)), element(0x00289145, "SQ", item(rescale)))

    elements = ct(frames=str(len(frames)), pixels=SCAN.tobytes() * len(frames), slope=None, intercept=None)
    elements[0x52009230] = ("SQ", b"".join(described(*frame) for frame in frames))
    return write(elements)
