"""Where the elements of a data set lie, found without building it.

pydicom's reader makes an object of every element and item, and calls itself for every sequence within a
sequence: a 20 MB file of empty items takes gigabytes. This walk keeps a counter of depth and the elements that it
was asked for, and gives up after MOST_HEADERS.
"""

import re
import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from cnnClassifier.errors import ImageError

TRANSFER_SYNTAX = 0x00020010
IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"

MOST_HEADERS = 200_000  # an enhanced CT of 1000 frames has about 50 000
MOST_INFLATED = 64 * 2**20  # bytes that a deflated data set may grow to: 128 slices of 512 x 512 at 16 bits

HEAD = 132  # the preamble and DICM
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
EXPLICIT = re.compile(rb"[A-Z]{2}")
DAMAGED = "not a readable DICOM file: its elements do not fit together"


@dataclass
class Walk:
    """A position in a data set, how it is written, and how many headers may still be read."""

    data: memoryview
    position: int
    explicit: bool
    order: str  # "<" or ">"
    headers: int = MOST_HEADERS

    def header(self) -> tuple[int, bytes, int]:
        """Tag, VR (empty where it is implicit) and length of the element here; moves on to its value."""
        self.headers -= 1
        if self.headers < 0:
            raise ImageError(f"not a readable DICOM file: it has more than {MOST_HEADERS:,} elements")
        group, element = self._unpack("HH")
        tag = group << 16 | element
        if group == 0xFFFE or not self.explicit:
            return tag, b"", self._unpack("I")[0]
        vr = bytes(self.data[self.position : self.position + 2])
        self.position += 2
        if vr in LONG_VRS:
            self.position += 2
            return tag, vr, self._unpack("I")[0]
        return tag, vr, self._unpack("H")[0]

    def skip(self, vr: bytes, length: int) -> None:
        """Move past a value, and past all that is nested in it if its length is undefined."""
        if length != UNDEFINED:
            self.position += length
            return
        explicit, self.explicit = self.explicit, self.explicit and vr != b"UN"
        depth = 1
        while depth:
            tag, _, length = self.header()
            if tag in (ITEM_END, SEQUENCE_END):
                depth -= 1
            elif length == UNDEFINED:
                depth += 1
            else:
                self.position += length
        self.explicit = explicit

    def _unpack(self, form: str) -> tuple[int, ...]:
        try:
            values = struct.unpack_from(self.order + form, self.data, self.position)
        except struct.error:
            raise ImageError(DAMAGED) from None
        self.position += struct.calcsize(self.order + form)
        return values


@dataclass(frozen=True)
class Element:
    """A value: its bytes, and how elements nested in it are written."""

    value: memoryview
    vr: bytes  # empty where it is implicit
    explicit: bool
    order: str
    undefined: bool

    def items(self) -> "Iterator[Element]":
        """The items of a sequence."""
        walk = Walk(self.value, 0, self.explicit, self.order)
        while walk.position < len(self.value):
            tag, _, length = walk.header()
            if tag != ITEM:
                return
            start = walk.position
            walk.skip(b"", length)
            yield replace(self, value=self.value[start : walk.position], undefined=length == UNDEFINED)

    def find(self, tags: Collection[int]) -> "dict[int, Element]":
        """Of an item's elements those with these tags."""
        return _find(Walk(self.value, 0, self.explicit, self.order), tags)


@dataclass(frozen=True)
class DataSet:
    """The transfer syntax of a file, and those of its elements that were asked for."""

    syntax: str
    elements: dict[int, Element]


def find_elements(data: bytes, tags: Collection[int]) -> DataSet:
    """The elements with these tags, of which each is at the top of the data set; ImageError if it is damaged."""
    head = Walk(memoryview(data), HEAD, explicit=True, order="<")
    syntax = IMPLICIT
    while bytes(head.data[head.position : head.position + 2]) == b"\x02\x00":
        tag, vr, length = head.header()
        start = head.position
        head.skip(vr, length)
        if tag == TRANSFER_SYNTAX:
            syntax = bytes(head.data[start : head.position]).decode("latin-1").strip("\0 ")
    body = head.data[head.position :]
    if syntax == DEFLATED:
        body = memoryview(_inflate(body))
    order = ">" if syntax == BIG_ENDIAN else "<"
    # Some files are written otherwise than their syntax says. Where no VR stands, a length of 16 705 or more would.
    explicit = EXPLICIT.match(body, 4) is not None
    return DataSet(syntax, _find(Walk(body, 0, explicit, order), tags))


def _find(walk: Walk, tags: Collection[int]) -> dict[int, Element]:
    found: dict[int, Element] = {}
    last = max(tags)
    while len(walk.data) - walk.position >= 8:
        tag, vr, length = walk.header()
        if tag > last:  # elements stand in order, and what follows the picture may be anything
            break
        start = walk.position
        walk.skip(vr, length)
        if tag in tags:
            explicit = walk.explicit and vr != b"UN"
            value = walk.data[start : walk.position]
            found[tag] = Element(value, vr, explicit, walk.order, length == UNDEFINED)
    return found


def _inflate(deflated: memoryview) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(deflated, MOST_INFLATED)
    except zlib.error:
        raise ImageError("not a readable DICOM file: its deflated data set is damaged") from None
    if inflater.unconsumed_tail:
        raise ImageError(f"its deflated data set is larger than the {MOST_INFLATED // 2**20} MB allowed")
    return inflated
