"""Archives as no tool writes them."""

import io
import struct
import warnings
import zipfile
from collections.abc import Callable

Files = dict[str, bytes]


def of(files: Files, method: int = zipfile.ZIP_DEFLATED) -> Callable[[], bytes]:
    return lambda: write(files, method)


def write(files: Files | list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return stream.getvalue()


def symlink() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a.txt", "a")
    return stream.getvalue()


def nested() -> bytes:
    inner = write({"a": b"a"})
    return write({"b.txt": b"b", "inner.zip": inner})


def bomb() -> bytes:
    return write({"zeros": bytes(30 * 2**20)})


def many_large() -> bytes:
    return write(dict.fromkeys("123456789", bytes(30 * 2**20)))


def overlapping() -> bytes:
    """Two entries of the directory that mean the same bytes."""
    data = bytearray(write({"a.txt": bytes(1000), "b.txt": bytes(1000)}))
    first, second = _directory(data)
    struct.pack_into("<I", data, second + 42, struct.unpack_from("<I", data, first + 42)[0])
    return bytes(data)


def quoted() -> bytes:
    """Each file's bytes begin with the head of the next: what one deflated kernel serves for all."""
    data = bytearray(write({"a.txt": bytes(1000), "b.txt": bytes(1000)}, zipfile.ZIP_STORED))
    first, _ = _directory(data)
    struct.pack_into("<II", data, first + 20, 2000, 2000)
    return bytes(data)


def crowded() -> bytes:
    return write({f"{number}": b"" for number in range(20_000)}, zipfile.ZIP_STORED)


def understated() -> bytes:
    """The end of the directory says 1 entry, and the directory has 5000."""
    data = bytearray(write({f"{number}": b"" for number in range(5000)}, zipfile.ZIP_STORED))
    struct.pack_into("<HH", data, len(data) - 14, 1, 1)
    return bytes(data)


def million() -> bytes:
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"a"
    size = 1_000_000 * len(entry)
    return entry * 1_000_000 + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65_535, 65_535, size, 0, 0)


def encrypted() -> bytes:
    data = bytearray(write({"a.txt": b"a", "b.txt": b"b"}))
    first, _ = _directory(data)
    data[first + 8] |= 1
    data[6] |= 1
    return bytes(data)


def wrong_sum() -> bytes:
    data = bytearray(write({"a.txt": b"a" * 50, "b.txt": b"b"}, zipfile.ZIP_STORED))
    data[data.index(b"aaa")] ^= 1
    return bytes(data)


def lying_size() -> bytes:
    """Said to be 10 bytes, inflates to a million."""
    data = bytearray(write({"a.txt": bytes(1_000_000)}))
    (only,) = _directory(data)
    struct.pack_into("<I", data, only + 24, 10)
    return bytes(data)


def method(number: int) -> Callable[[], bytes]:
    def make() -> bytes:
        data = bytearray(write({"a.txt": b"a"}))
        (only,) = _directory(data)
        struct.pack_into("<H", data, only + 10, number)
        return bytes(data)

    return make


def bad_name() -> bytes:
    data = bytearray(write({"ä.txt": b"a"}))
    return bytes(data.replace("ä".encode(), b"\xff\xfe"))


def twice() -> bytes:
    return write([("one/a.txt", b"1"), ("two/a.txt", b"2")])


def clutter() -> bytes:
    names = ["scan/1.png", "scan/Thumbs.db", "__MACOSX/scan/._1.png", "scan/.DS_Store", ".hidden/2.png", "DICOMDIR"]
    return write(dict.fromkeys(names, b"a"))


def zip64() -> bytes:
    data = write({"a.txt": b"a"})
    end = data.rindex(b"PK\x05\x06")
    start = struct.unpack_from("<I", data, end + 16)[0]
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 1, 1, end - start, start)
    return data[:end] + record + b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1) + data[end:]


def _directory(data: bytes | bytearray) -> list[int]:
    """Where the entries of the directory begin."""
    positions, start = [], data.find(b"PK\x01\x02")
    while start >= 0:
        positions.append(start)
        start = data.find(b"PK\x01\x02", start + 4)
    return positions
