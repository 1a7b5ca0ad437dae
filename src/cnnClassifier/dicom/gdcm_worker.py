"""Decode one frame of JPEG lossless or JPEG-LS with GDCM, as a program: frame in at stdin, samples out at stdout.

A damaged frame makes GDCM abort or crash, and with it the process that it runs in. So it runs here, alone, with
little memory and time, without the right to write a file, to start a process, or the environment's secrets.

    python -I gdcm_worker.py SYNTAX COLUMNS ROWS SAMPLES ALLOCATED STORED SIGNED PHOTOMETRIC
"""

import os
import resource
import sys

MEMORY = 2**30  # bytes of address space, beside what the samples take
SECONDS = 20  # of computing


def main() -> None:
    """Read, decode, write."""
    syntax, *numbers, photometric = sys.argv[1:]
    columns, rows, samples, allocated, stored, signed = map(int, numbers)
    _restrict(4 * columns * rows * samples * allocated // 8)
    answer = os.dup(1)
    os.dup2(2, 1)  # what GDCM itself says
    frame = sys.stdin.buffer.read()
    decoded = _decode(frame, syntax, (columns, rows), (samples, allocated, stored, signed), photometric)
    with os.fdopen(answer, "wb") as stream:
        stream.write(decoded)


def _restrict(extra: int) -> None:
    limits = {
        resource.RLIMIT_AS: MEMORY + extra,
        resource.RLIMIT_CPU: SECONDS,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CORE: 0,
    }
    for which, limit in limits.items():
        hard = resource.getrlimit(which)[1]
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(which, (allowed, allowed))


def _decode(
    frame: bytes, syntax: str, size: tuple[int, int], sample: tuple[int, int, int, int], photometric: str
) -> bytes:
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    pixels = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    pixels.SetValue(fragments.__ref__())

    samples, allocated, stored, signed = sample
    kind = gdcm.PhotometricInterpretation.GetPIType(photometric)
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((*size, 1))
    image.SetDataElement(pixels)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    if samples > 1:
        image.SetPlanarConfiguration(0)
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(samples, allocated, stored, stored - 1, signed))
    # The bytes come as text in which each that is no UTF-8 is a lone surrogate.
    decoded: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")
    return decoded


if __name__ == "__main__":
    main()
