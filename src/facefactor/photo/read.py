# SPDX-License-Identifier: Apache-2.0
"""Read any image file a person has into one form: upright, 8-bit, RGB, sRGB.

Place in the flow: the first step. Everything after it sees a `Photo` and need not know about file formats.

    file ─open─► decoded ─grey, palette, 16-bit, CMYK─► 8-bit ─ICC profile─► sRGB ─alpha over grey─► RGB ─EXIF─► upright

Decisions:
- A photo is decoded in full, whatever its size up to `LARGEST_PHOTO_PIXELS`: coordinates are then those of the
  original photo everywhere. A JPEG of 12000 × 9000 takes about 2 s and 0.8 GB.
- Transparent pixels lie over mid grey (128), blended as encoded values, as browsers do.
- A missing ICC profile means sRGB; a broken one or one of another colour space is ignored. CMYK without a profile is
  converted by the plain complement.
- Of animations and multi-page files the first picture is taken.
"""

import importlib.util
import io
import logging
import os
import stat
import struct
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from facefactor.errors import PhotoUnreadable

LARGEST_PHOTO_PIXELS = 150_000_000
"""Refuse larger pictures: decoded they would fill gigabytes (a decompression bomb, or no portrait)."""
BACKGROUND_SRGB = 128
"""Mid grey behind transparent pixels, 0–255."""
PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".heif", ".avif"}
)
"""Files of a folder that are taken for photos; a file that is named itself may have any ending."""
EXIF_ORIENTATION = 0x0112
"""EXIF 2.32, tag Orientation."""
HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
"""ISO base media brands of HEIC files (ISO/IEC 23008-12, annex B)."""
STRIP_ROWS = 512
"""Rows copied at a time from the decoder, so that a large photo is not held three times."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photo.

    Attributes:
        srgb: (height, width, 3) uint8, RGB, sRGB-encoded, read-only; row 0 at the top, its first pixel's centre at
            (0.5, 0.5).
        name: what to call it in messages and results; the file's name when it comes from a file.
        path: the file it was read from.
        alpha: (height, width) uint8, how opaque the pixels were before they were laid over BACKGROUND_SRGB; None where
            all were.
    """

    srgb: NDArray[np.uint8]
    name: str
    path: Path | None = None
    alpha: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.srgb.ndim != 3 or self.srgb.shape[2] != 3 or self.srgb.dtype != np.uint8 or self.srgb.size == 0:
            raise ValueError(f"srgb must be (height, width, 3) uint8, got {self.srgb.shape} {self.srgb.dtype}")
        self.srgb.flags.writeable = False

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.srgb.shape[1]

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.srgb.shape[0]

    def contains(self, points_px: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Tell which points (..., 2) lie on the photo: (...) bool."""
        inside = (points_px >= 0) & (points_px <= (self.width, self.height))
        return np.asarray(inside.all(axis=-1))


def read_photo(path: str | os.PathLike[str]) -> Photo:
    """Read an image file as an upright sRGB photo.

    Args:
        path: the file. JPEG, PNG, WebP, TIFF, GIF, BMP, AVIF and whatever else Pillow reads; HEIC where pillow-heif is
            installed.

    Returns:
        The photo, with its ICC profile and EXIF orientation already applied.

    Raises:
        PhotoUnreadable: the file is missing, a folder, empty, no image, damaged or too large; the message is one
            sentence that begins with the file.
    """
    path = Path(path)
    _check_is_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Pillow warns of oddities in metadata, which we tolerate, and of large pictures
        try:
            with _open_image(path) as image:
                srgb, alpha = _decode(image)
        except PhotoUnreadable:
            raise
        except MemoryError:
            raise PhotoUnreadable(f"{_shown(path)}: is too large for this machine's memory") from None
        except Exception as error:  # Pillow's decoders let through whatever their parser stumbles on
            logger.debug("decoding %s failed", path, exc_info=error)
            raise PhotoUnreadable(f"{_shown(path)}: is damaged or incomplete ({_one_line(error)})") from None
    return Photo(srgb=srgb, name=path.name, path=path, alpha=alpha)


def photo_from_array(array: NDArray, name: str) -> Photo:
    """Make a photo of pixels that are already in memory.

    Args:
        array: (height, width) or (height, width, 1) grey, (height, width, 2) grey and alpha, (height, width, 3) RGB or
            (height, width, 4) RGBA; sRGB-encoded; uint8, uint16, bool, or floating in [0, 1].
        name: what to call it in messages and results.

    Raises:
        ValueError: the shape, type or range is another one.
    """
    pixels = np.asarray(array)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4) or pixels.size == 0:
        raise ValueError(f"a photo has shape (height, width) or (height, width, 1 to 4), got {np.shape(array)}")
    pixels = _as_8_bit(pixels)
    alpha = None
    if pixels.shape[2] in (2, 4):
        alpha = _alpha_of(pixels[:, :, -1])
        pixels = _over_background(pixels)
    return Photo(np.array(np.broadcast_to(pixels, (*pixels.shape[:2], 3))), name, alpha=alpha)


def with_alpha(srgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take the grey behind transparent pixels out of a picture (height, width, 3) again: (height, width, 4)."""
    share = np.maximum(alpha, 1)[..., None] / 255.0
    colours = np.clip(np.rint((srgb - BACKGROUND_SRGB * (1.0 - share)) / share), 0, 255)
    return np.concatenate((colours.astype(np.uint8), alpha[..., None]), axis=2)


def _check_is_file(path: Path) -> None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise PhotoUnreadable(f"{_shown(path)}: no such file") from None
    except OSError as error:
        raise PhotoUnreadable(f"{_shown(path)}: {_one_line(error)}") from None
    if stat.S_ISDIR(status.st_mode):
        raise PhotoUnreadable(f"{_shown(path)}: is a folder; name the photos in it")
    if not stat.S_ISREG(status.st_mode):
        raise PhotoUnreadable(f"{_shown(path)}: is not a regular file")
    if status.st_size == 0:
        raise PhotoUnreadable(f"{_shown(path)}: is empty")


def _open_image(path: Path) -> Image.Image:
    """Open the file and read its header; the size is checked before anything is decoded."""
    try:
        head = _first_bytes(path)
        if _is_heic(head):
            _register_heic(path)
        image = Image.open(path)
    except UnidentifiedImageError:
        raise PhotoUnreadable(f"{_shown(path)}: is not an image in a format that can be read") from None
    except Image.DecompressionBombError:
        raise PhotoUnreadable(_too_large(path)) from None
    except OSError as error:
        raise PhotoUnreadable(f"{_shown(path)}: cannot be read ({_one_line(error)})") from None
    if image.width * image.height > LARGEST_PHOTO_PIXELS:
        image.close()
        raise PhotoUnreadable(_too_large(path, f"{image.width} × {image.height} pixels"))
    return image


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(64)


def _is_heic(head: bytes) -> bool:
    """Tell HEIC from the other formats of the same container (AVIF, MP4) by the brand in its first box."""
    if len(head) < 12 or head[4:8] != b"ftyp":
        return False
    length = min(struct.unpack(">I", head[:4])[0], len(head))
    brands = {head[8:12], *(head[start : start + 4] for start in range(16, length, 4))}
    return bool(brands & HEIC_BRANDS) and not brands & {b"avif", b"avis"}


def _register_heic(path: Path) -> None:
    if importlib.util.find_spec("pillow_heif") is None:
        raise PhotoUnreadable(f"{_shown(path)}: is a HEIC photo, which needs one more package: pip install pillow-heif")
    importlib.import_module("pillow_heif").register_heif_opener()


def _decode(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Decode, convert colours, flatten and turn upright; with how opaque the pixels were, where not all were."""
    profile = image.info.get("icc_profile")
    image.load()
    orientation = _orientation(image)  # after load: TIFF turns itself, PNG may store EXIF behind its pixels
    converted = _to_srgb(_to_8_bit_mode(image), profile)
    alpha = _alpha_of(np.asarray(converted.getchannel("A"))) if converted.mode in ("LA", "RGBA") else None
    upright = np.ascontiguousarray(_turn_upright(_pixels(_flatten(converted)), orientation))
    return upright, None if alpha is None else np.ascontiguousarray(
        _turn_upright(alpha[..., None], orientation)[..., 0]
    )


def _alpha_of(alpha: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """None where all is opaque."""
    return np.array(alpha) if alpha.min() < 255 else None


def _to_8_bit_mode(image: Image.Image) -> Image.Image:
    """Bring the many pixel modes to L, LA, RGB, RGBA or CMYK."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_grey_as_8_bit(np.asarray(image)))
    if image.mode in ("P", "PA", "RGBa", "La") or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _grey_as_8_bit(grey: NDArray) -> NDArray[np.uint8]:
    """Scale grey values of an unstated range by the smallest usual white (1, 255, 65535, 2³²-1) that holds them all."""
    values = np.nan_to_num(grey.astype(np.float64), nan=0.0)
    largest = 65535.0 if grey.dtype == np.uint16 else float(values.max())
    whites = [white for white in (1.0, 255.0, 65535.0, 4294967295.0) if largest <= white] or [largest]
    white = whites[0] if np.issubdtype(grey.dtype, np.floating) or whites[0] > 1 else 255.0
    return np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to sRGB by the embedded profile; alpha is carried along unchanged."""
    if not profile:
        return image
    colours = image.convert(image.mode.removesuffix("A")) if image.mode in ("LA", "RGBA") else image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() == "RGB" and colours.mode == "L":
            colours = colours.convert("RGB")
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(colours, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        logger.debug("embedded colour profile ignored: %s", error)
        return image
    if converted is None:
        return image
    if image.mode in ("LA", "RGBA"):
        converted.putalpha(image.getchannel("A"))
    return converted


def _flatten(image: Image.Image) -> Image.Image:
    """Lay transparent pixels over mid grey and return plain RGB."""
    if image.mode == "RGB":
        return image
    if image.mode in ("LA", "RGBA"):
        background = Image.new("RGBA", image.size, (BACKGROUND_SRGB,) * 3 + (255,))
        return Image.alpha_composite(background, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Copy an RGB image into an array, strip by strip."""
    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for top in range(0, image.height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except Exception as error:  # broken EXIF is common, and no reason to refuse the photo
        logger.debug("EXIF ignored: %s", error)
        return 1


def _turn_upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo EXIF orientation: what the stored row 0 and column 0 are in the upright picture.

    1 top left; 2 top right; 3 bottom right; 4 bottom left; 5 left top; 6 right top; 7 right bottom; 8 left bottom.
    """
    match orientation:
        case 2:
            return pixels[:, ::-1]
        case 3:
            return pixels[::-1, ::-1]
        case 4:
            return pixels[::-1]
        case 5:
            return pixels.transpose(1, 0, 2)
        case 6:
            return np.rot90(pixels, -1)
        case 7:
            return pixels[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            return np.rot90(pixels)
        case _:
            return pixels


def _as_8_bit(pixels: NDArray) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype == np.uint16:
        return np.rint(pixels / 257.0).astype(np.uint8)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ValueError(f"a photo is uint8, uint16, bool or floating, got {pixels.dtype}")
    if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
        raise ValueError(f"a floating photo lies in [0, 1], got {pixels.min()} to {pixels.max()}")
    return np.rint(pixels.astype(np.float64) * 255).astype(np.uint8)


def _over_background(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    colours, alpha = pixels[:, :, :-1].astype(np.float64), pixels[:, :, -1:] / 255.0
    return np.rint(colours * alpha + BACKGROUND_SRGB * (1 - alpha)).astype(np.uint8)


def _too_large(path: Path, size: str = "the picture") -> str:
    return f"{_shown(path)}: {size} is larger than the limit of {LARGEST_PHOTO_PIXELS // 1_000_000} megapixels"


def _shown(path: Path) -> str:
    """The path on one line, printable whatever bytes its name holds."""
    return " ".join(os.fsencode(path).decode(sys.getfilesystemencoding(), "replace").splitlines())


def _one_line(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
