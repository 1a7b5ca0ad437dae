"""Bytes to pixels: one pure function, driven by a spec that is saved inside the model.

Training, evaluation and serving all call `preprocess`; nothing else in this project decodes
an image for a network, but for `dicom`, which `decode` calls.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile
from scipy import ndimage

from cnnClassifier.config.network import PreprocessingSpec
from cnnClassifier.decoders import DECODER_ERRORS, JPEG, check_scans
from cnnClassifier.dicom import decode_dicom, is_dicom
from cnnClassifier.errors import ImageError
from cnnClassifier.stain import normalise_stain

Pixels = NDArray[np.float32]
Stored = Pixels | NDArray[np.uint8]
Box = tuple[int, int, int, int]  # top, bottom, left, right

RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

# ITU-R BT.601 luma, as Pillow's own convert("L") uses.
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

# Not all that Pillow knows: its EPS reader starts a Ghostscript process on what it is given.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")

PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # TIFF's tag for what its numbers mean, and one of its values
BITS_PER_SAMPLE = 258  # another

BAND = 256  # rows that are worked on at a time where the whole would take memory

BODY_THRESHOLD = 0.15  # of the way from the 1st percentile to the 99th: air and black margins lie below, skin above
BODY_MINIMUM_SHARE = 0.05  # a component smaller than this share of the picture is no body: do not crop to it
FRAME_THRESHOLD = 0.9  # of the same way: an outer row or column that is nearly all brighter is a page's, not a body's
FRAME_SHARE = 0.95
BODY_WORKING_SIZE = 256  # the body's outline is found on an image reduced to about this side


def preprocess(data: bytes, spec: PreprocessingSpec, max_pixels: int | None = None) -> Pixels:
    """Turn an encoded image into network input: RGB, float32, 0-255, shape (size, size, 3).

    Decoding, upright turning, greyscale, body crop, contrast, resizing, stain, in that order; each only if the
    spec asks for it. Raises ImageError for anything that is not one readable picture, and, before any
    pixel is decoded, for more than `max_pixels`.
    """
    return prepare(decode_stored(data, max_pixels), spec)


def prepare(pixels: Stored, spec: PreprocessingSpec, box: Box | None = None) -> Pixels:
    """The same from pixels as `decode` or `decode_stored` gives them: 0-255, shape (height, width, 1 or 3).

    `box` is what `kept_box` says of them, for whoever knows it already.
    """
    if spec.channels == "grey":
        pixels = to_grey(pixels)
    top, bottom, left, right = box or kept_box(pixels, spec)
    pixels = pixels[top:bottom, left:right]
    if spec.contrast is not None:
        pixels = stretch_contrast(pixels.astype(np.float32, copy=False), *spec.contrast)
    pixels = resize(pixels, spec.image_size, spec.resample)
    # Last, so that it takes as long for an upload of 64 megapixels as for a small one.
    pixels = normalise_stain(pixels, spec.stain)
    return np.ascontiguousarray(np.broadcast_to(pixels, (spec.image_size, spec.image_size, 3)))


def kept_box(pixels: Stored, spec: PreprocessingSpec) -> Box:
    """The box of the part of a decoded picture that the network sees, in its own pixels."""
    if not spec.body_crop:
        return 0, pixels.shape[0], 0, pixels.shape[1]
    return body_box(to_grey(pixels)[..., 0], spec.crop_margin)


def decode(data: bytes, max_pixels: int | None = None) -> Pixels:
    """Decode an image file to float32 0-255, shape (height, width, 1 or 3), upright; ImageError if it can't be.

    Transparency is laid on black; a palette, CMYK and other colour spaces become RGB; 16-bit
    grey keeps its depth (divided by 257), and so does a TIFF file's of 12 bits (by 4095 / 255); 32-bit and
    floating-point grey is stretched from its own least and greatest finite value, since such files state no range.
    Where a TIFF file says that 0 is white, it is. The first frame of an animation counts. A DICOM file is shown
    through its own window (see `dicom.decode_dicom`).
    """
    return decode_stored(data, max_pixels).astype(np.float32, copy=False)


def decode_stored(data: bytes, max_pixels: int | None = None) -> Stored:
    """The same, but uint8 where a file holds no more: a quarter of the memory, for whoever computes nothing."""
    if not data:
        raise ImageError("the file is empty")
    if is_dicom(data):
        return decode_dicom(data, max_pixels=max_pixels)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise ImageError(f"{image.width} x {image.height} pixels are more than the {max_pixels:,} allowed")
            if data.startswith(JPEG):
                check_scans(data)
            image.load()
            greatest = _greatest(image) if is_deep(image.mode, image.format) else None
            negative = _is_negative(image)
            ImageOps.exif_transpose(image, in_place=True)  # copies nothing that is upright
            return _to_array(image, greatest, negative)
    except UnidentifiedImageError:
        # Its own message names a memory address.
        raise ImageError(f"not an image in a format this reads ({', '.join(FORMATS)}, DICOM)") from None
    except Image.DecompressionBombError:
        limit = max_pixels or 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ImageError(f"its pixels are more than the {limit:,} allowed") from None
    except DECODER_ERRORS as error:
        raise ImageError(f"not a readable image: {error or type(error).__name__}") from None


def is_deep(mode: str, kind: str | None) -> bool:
    """Whether a file of this mode and format, as Pillow names them, has grey of 12 or 16 bits, whose range is known."""
    # PGM files of more than 8 bits come as 32 bits, scaled to the 16 that their range is stated in.
    return mode.startswith("I;16") or (mode == "I" and kind == "PPM")


def to_grey(pixels: Stored) -> Pixels:
    """Luma of an image, float32, shape (height, width, 1)."""
    if pixels.shape[-1] == 1:
        return pixels.astype(np.float32, copy=False)
    grey = np.empty(pixels.shape[:2], np.float32)
    for top in range(0, len(pixels), BAND):  # a product makes float32 of all that it is given
        grey[top : top + BAND] = pixels[top : top + BAND] @ LUMA
    return grey[..., None]


def body_box(grey: Pixels, margin: float = 0.0) -> Box:
    """The box of the largest bright component, holes and all, within a page's white margins; else the whole image.

    `grey` has shape (height, width); `margin` widens the box by that share of its sides, but not into the page.
    """
    step = max(1, min(grey.shape) // BODY_WORKING_SIZE)
    small = grey[::step, ::step]
    rows, columns = _without_frame(_brighter(small, FRAME_THRESHOLD))
    # Compared anew: what is bright in a body is not what is bright on a page.
    components, count = ndimage.label(_brighter(small[rows, columns], BODY_THRESHOLD))
    sizes = np.bincount(components.ravel(), minlength=count + 1)[1:]
    if count == 0 or sizes.max() < BODY_MINIMUM_SHARE * components.size:
        return 0, grey.shape[0], 0, grey.shape[1]
    body = ndimage.find_objects(components)[int(sizes.argmax())]
    return (
        *_widen(body[0], rows, margin, step, grey.shape[0]),
        *_widen(body[1], columns, margin, step, grey.shape[1]),
    )


def _brighter(grey: Pixels, share: float) -> NDArray[np.bool_]:
    """Where a picture is brighter than this share of the way from its 1st percentile to its 99th."""
    # From the darkest percentile, not from 0: a picture whose black is lifted still has air around the body.
    dark, bright = np.percentile(grey, [1, 99])
    brighter: NDArray[np.bool_] = grey > dark + share * (bright - dark)
    return brighter


def _without_frame(white: NDArray[np.bool_]) -> tuple[slice, slice]:
    """What is left of a picture without its white margins: those of a page or of a window."""
    rows = _not_framed(white)
    return rows, _not_framed(white[rows].T)


def _not_framed(lines: NDArray[np.bool_]) -> slice:
    inner = np.flatnonzero(lines.mean(axis=1) < FRAME_SHARE)
    return slice(int(inner[0]), int(inner[-1]) + 1) if inner.size else slice(0, len(lines))


def _widen(body: slice, picture: slice, margin: float, step: int, limit: int) -> tuple[int, int]:
    """A body's side within its picture's, which lies within the page's: both in steps, the answer in pixels."""
    extra = round((body.stop - body.start) * step * margin)
    start, stop = ((picture.start + side) * step for side in (body.start, body.stop))
    return max(picture.start * step, start - extra), min(picture.stop * step, limit, stop + extra)


def stretch_contrast(pixels: Pixels, low: float, high: float) -> Pixels:
    """Map the `low` and `high` percentiles of all values to 0 and 255 and clip; a flat image is returned as it is."""
    floor, ceiling = np.percentile(pixels, [low, high])
    if ceiling <= floor:
        return pixels
    stretched: Pixels = np.clip((pixels - floor) * (255.0 / (ceiling - floor)), 0, 255).astype(np.float32)
    return stretched


def resize(pixels: Stored, size: int, resample: str) -> Pixels:
    """Resize each channel to (size, size) with Pillow's antialiased filter, without rounding to bytes."""
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(channel, np.float32)).resize((size, size), RESAMPLE[resample]))
        for channel in np.moveaxis(pixels, -1, 0)
    ]
    # Bicubic and Lanczos filters overshoot.
    resized: Pixels = np.stack(channels, axis=-1).clip(0, 255)
    return resized


def _to_array(image: Image.Image, greatest: int | None, negative: bool) -> Stored:
    if greatest is not None:
        # In this order exact to the last bit: the product is a whole number that float32 holds.
        levels: Pixels = np.asarray(image, dtype=np.float32)[..., None] * np.float32(255) / np.float32(greatest)
        return 255 - levels if negative else levels
    if image.mode in ("I", "F"):
        values = np.asarray(image, dtype=np.float64)
        return _stretch_range(-values if negative else values)[..., None]
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return np.asarray(image.convert("L"))[..., None]
    return _to_rgb(image)


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Red, green and blue, in bands: Pillow and NumPy would hold the whole five times over."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, BAND):
        band = image.crop((0, top, image.width, min(top + BAND, image.height)))
        pixels[top : top + BAND] = np.asarray(_on_black(band).convert("RGB"))
    return pixels


def _on_black(image: Image.Image) -> Image.Image:
    if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in image.info:
        return image
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer)


def _greatest(image: Image.Image) -> int:
    """The greatest number that a pixel of a deep picture can have: Pillow gives a TIFF file's 12 bits as they are."""
    bits = image.tag_v2.get(BITS_PER_SAMPLE, (16,)) if isinstance(image, TiffImageFile) else (16,)
    return int(2 ** bits[0] - 1)


def _is_negative(image: Image.Image) -> bool:
    """Whether 0 is white, and Pillow has not seen to that: it does for 8 bits and fewer."""
    wide = image.mode.startswith(("I", "F"))
    return wide and isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO


def _stretch_range(values: NDArray[np.float64]) -> Pixels:
    """Finite values to 0-255; what is not a number becomes black, infinities black and white."""
    finite = values[np.isfinite(values)]
    floor, ceiling = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    values = np.nan_to_num(values, nan=floor, posinf=ceiling, neginf=floor) - floor
    return (values * (255.0 / (ceiling - floor)) if ceiling > floor else values).astype(np.float32)
