# SPDX-License-Identifier: Apache-2.0
"""Every kind of file a person has, made here and read back."""

import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from facefactor.errors import PhotoUnreadable
from facefactor.photo.read import LARGEST_PHOTO_PIXELS, Photo, photo_from_array, read_photo

HEIGHT, WIDTH = 40, 60


def make_picture() -> np.ndarray:
    """A picture without symmetry, smooth enough to survive JPEG: (HEIGHT, WIDTH, 3) uint8."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([40 + 3 * x, 30 + 4 * y, 200 - x - 2 * y], axis=2).astype(np.uint8)


def make_alpha() -> np.ndarray:
    """Opaque on the left half, clear on the right: (HEIGHT, WIDTH) uint8."""
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, WIDTH // 2 :] = 0
    return alpha


def flattened(colours: np.ndarray) -> np.ndarray:
    return np.where(make_alpha()[:, :, None] > 0, colours, 128)


def grey_of(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).convert("L"))


def three(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[:, :, None], 3, axis=2)


def save_16_bit_rgb_png(path: Path, rgb: np.ndarray) -> None:
    """Write a PNG of 16 bits a channel by hand: Pillow cannot."""
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).astype(">u2").tobytes() for row in rgb)
    header = struct.pack(">IIBBBBB", rgb.shape[1], rgb.shape[0], 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def save_rgba(path: Path) -> np.ndarray:
    Image.fromarray(np.dstack([make_picture(), make_alpha()])).save(path)
    return flattened(make_picture())


def save_grey_and_alpha(path: Path) -> np.ndarray:
    grey = grey_of(make_picture())
    Image.fromarray(np.dstack([grey, make_alpha()])).save(path)
    return flattened(three(grey))


def save_palette(path: Path) -> np.ndarray:
    palette = Image.fromarray(make_picture()).quantize(200)
    palette.save(path)
    return np.asarray(palette.convert("RGB"))


def save_palette_with_clear_colour(path: Path) -> np.ndarray:
    indices = (make_alpha() > 0).astype(np.uint8)
    image = Image.fromarray(indices)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.save(path, transparency=0)
    return flattened(np.full((HEIGHT, WIDTH, 3), (200, 100, 50)))


def save_rgb_with_clear_colour(path: Path) -> np.ndarray:
    opaque = make_alpha()[:, :, None] > 0
    Image.fromarray(np.where(opaque, make_picture(), (1, 2, 3)).astype(np.uint8)).save(path, transparency=(1, 2, 3))
    return flattened(make_picture())


def save_grey(path: Path) -> np.ndarray:
    grey = grey_of(make_picture())
    Image.fromarray(grey).save(path)
    return three(grey)


def save_16_bit_grey(path: Path) -> np.ndarray:
    grey = grey_of(make_picture())
    Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    return three(grey)


def save_float(path: Path) -> np.ndarray:
    grey = grey_of(make_picture())
    Image.fromarray(grey.astype(np.float32) / 255).save(path)
    return three(grey)


def save_one_bit(path: Path) -> np.ndarray:
    Image.fromarray(make_alpha() > 0).save(path)
    return three(make_alpha())


def save_16_bit_rgb(path: Path) -> np.ndarray:
    save_16_bit_rgb_png(path, make_picture())
    return make_picture()


def save_cmyk(path: Path) -> np.ndarray:
    image = Image.fromarray(make_picture()).convert("CMYK")
    image.save(path)
    return np.asarray(image.convert("RGB"))


def save_rgb(path: Path) -> np.ndarray:
    Image.fromarray(make_picture()).save(path)
    return make_picture()


def save_lossless_webp(path: Path) -> np.ndarray:
    Image.fromarray(make_picture()).save(path, lossless=True)
    return make_picture()


def save_fine_jpeg(path: Path) -> np.ndarray:
    Image.fromarray(make_picture()).save(path, quality=100, subsampling=0)
    return make_picture()


def save_animation(path: Path) -> np.ndarray:
    first = Image.fromarray(make_picture()).quantize(200)
    first.save(path, save_all=True, append_images=[Image.new("P", first.size), Image.new("P", first.size)], duration=50)
    return np.asarray(first.convert("RGB"))


def save_ycbcr(path: Path) -> np.ndarray:
    image = Image.fromarray(make_picture()).convert("YCbCr")
    image.save(path)
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    ("name", "save", "tolerance"),
    [
        ("rgb.png", save_rgb, 0),
        ("rgb.bmp", save_rgb, 0),
        ("rgb.tiff", save_rgb, 0),
        ("rgb.webp", save_lossless_webp, 0),
        ("rgb.jpg", save_fine_jpeg, 3),  # JPEG's rounding
        ("rgba.png", save_rgba, 0),
        ("rgba.tiff", save_rgba, 0),
        ("grey_alpha.png", save_grey_and_alpha, 0),
        ("palette.png", save_palette, 0),
        ("palette.gif", save_palette, 0),
        ("palette_clear.png", save_palette_with_clear_colour, 0),
        ("palette_clear.gif", save_palette_with_clear_colour, 0),
        ("rgb_clear.png", save_rgb_with_clear_colour, 0),
        ("grey.png", save_grey, 0),
        ("grey.jpg", save_grey, 3),
        ("grey_16.png", save_16_bit_grey, 0),
        ("grey_16.tiff", save_16_bit_grey, 0),
        ("grey_float.tiff", save_float, 0),
        ("one_bit.png", save_one_bit, 0),
        ("one_bit.tiff", save_one_bit, 0),
        ("rgb_16.png", save_16_bit_rgb, 0),
        ("cmyk.tiff", save_cmyk, 0),
        ("cmyk.jpg", save_cmyk, 12),  # quality 75
        ("ycbcr.tiff", save_ycbcr, 0),
        ("animation.gif", save_animation, 0),
        ("animation.png", save_animation, 0),
        ("Grüße 照片 📷.png", save_rgb, 0),
        ("no_suffix", lambda path: _save_as_png(path), 0),
    ],
)
def test_every_kind_of_image_reads_as_rgb(
    tmp_path: Path, name: str, save: Callable[[Path], np.ndarray], tolerance: int
) -> None:
    expected = save(tmp_path / name)
    photo = read_photo(tmp_path / name)
    assert photo.name == name
    assert photo.path == tmp_path / name
    assert photo.srgb.dtype == np.uint8
    assert photo.srgb.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(photo.srgb.astype(int) - expected).max() <= tolerance


def _save_as_png(path: Path) -> np.ndarray:
    Image.fromarray(make_picture()).save(path, format="PNG")
    return make_picture()


STORED_AXES = {
    # EXIF 2.32, tag Orientation: from the upright picture to the stored one.
    1: lambda a: a,
    2: lambda a: np.fliplr(a),
    3: lambda a: np.flipud(np.fliplr(a)),
    4: lambda a: np.flipud(a),
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.flipud(np.swapaxes(a, 0, 1)),
    7: lambda a: np.flipud(np.fliplr(np.swapaxes(a, 0, 1))),
    8: lambda a: np.fliplr(np.swapaxes(a, 0, 1)),
}


@pytest.mark.parametrize("suffix", ["png", "tiff", "jpg", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_exif_orientations_read_as_the_same_upright_pixels(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    stored = np.ascontiguousarray(STORED_AXES[orientation](make_picture()))
    Image.fromarray(stored).save(path, exif=exif, **options)
    read = read_photo(path).srgb
    assert read.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(read.astype(int) - make_picture()).max() <= (3 if suffix == "jpg" else 0)


def test_an_orientation_outside_1_to_8_and_broken_exif_are_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    Image.fromarray(make_picture()).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(make_picture()).save(tmp_path / "b.png", exif=b"Exif\0\0II*\0garbage that is no directory")
    for name in ("a.png", "b.png"):
        np.testing.assert_array_equal(read_photo(tmp_path / name).srgb, make_picture())


def test_an_embedded_profile_is_converted_to_srgb(tmp_path: Path) -> None:
    # A profile whose three primaries are XYZ itself: its colours differ from sRGB's by far.
    xyz = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(make_picture()).save(tmp_path / "same.png", icc_profile=srgb)
    Image.fromarray(make_picture()).save(tmp_path / "other.png", icc_profile=_with_swapped_primaries(srgb))
    Image.fromarray(make_picture()).save(tmp_path / "wrong_space.png", icc_profile=xyz)
    assert np.abs(read_photo(tmp_path / "same.png").srgb.astype(int) - make_picture()).max() <= 1
    swapped = read_photo(tmp_path / "other.png").srgb.astype(int)
    assert np.abs(swapped - make_picture()[:, :, [2, 1, 0]]).max() <= 2
    np.testing.assert_array_equal(read_photo(tmp_path / "wrong_space.png").srgb, make_picture())


def _with_swapped_primaries(profile: bytes) -> bytes:
    """Exchange the red and blue primaries in an ICC profile's tag table."""
    return profile.replace(b"rXYZ", b"????", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"????", b"bXYZ", 1)


def test_a_profile_of_rgb_in_a_grey_photo_with_alpha_keeps_both(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey = grey_of(make_picture())
    Image.fromarray(np.dstack([grey, make_alpha()])).save(tmp_path / "a.png", icc_profile=srgb)
    assert np.abs(read_photo(tmp_path / "a.png").srgb.astype(int) - flattened(three(grey))).max() <= 1


@pytest.mark.parametrize("profile", [b"not a profile", b"\0" * 200])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_broken_profile_is_ignored(tmp_path: Path, profile: bytes, mode: str) -> None:
    image = Image.fromarray(make_picture()).convert(mode)
    image.save(tmp_path / "a.tiff", icc_profile=profile)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.tiff").srgb, np.asarray(image.convert("RGB")))


def write_nothing(path: Path) -> None:
    path.touch()


def write_text(path: Path) -> None:
    path.write_text("This is a shopping list.\n" * 20)


def write_truncated_jpeg(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:4000])


def write_truncated_png(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)).save(path, format="PNG")
    path.write_bytes(path.read_bytes()[:4000])


def write_header_only(path: Path) -> None:
    write_truncated_jpeg(path)
    path.write_bytes(path.read_bytes()[:12])


def write_heic(path: Path) -> None:
    path.write_bytes(struct.pack(">I", 24) + b"ftypheic" + b"\0\0\0\0" + b"mif1heic" + b"\0" * 100)


def write_bomb(path: Path) -> None:
    """A PNG header that claims 100,000 × 100,000 pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 100) + b"IDAT")


def write_too_large(path: Path) -> None:
    """One row more than the limit; refused before a pixel is decoded."""
    Image.new("1", (10_000, LARGEST_PHOTO_PIXELS // 10_000 + 1)).save(path, format="PNG")


def make_folder(path: Path) -> None:
    path.mkdir()


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("write", "cause"),
    [
        (lambda path: None, "no such file"),
        (make_folder, "is a folder; name the photos in it"),
        (write_nothing, "is empty"),
        (write_text, "is not an image in a format that can be read"),
        (write_header_only, "cannot be read"),
        (write_truncated_jpeg, "is damaged or incomplete"),
        (write_truncated_png, "is damaged or incomplete"),
        (write_bomb, "is larger than the limit of 150 megapixels"),
        (write_too_large, "10000 × 15001 pixels is larger than the limit of 150 megapixels"),
        pytest.param(
            make_pipe, "is not a regular file", marks=pytest.mark.skipif(sys.platform == "win32", reason="no")
        ),
    ],
)
def test_a_bad_file_is_refused_with_one_sentence(tmp_path: Path, write: Callable[[Path], None], cause: str) -> None:
    path = tmp_path / "böse Datei.jpg"
    write(path)
    with pytest.raises(PhotoUnreadable) as refusal:
        read_photo(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    assert cause in message
    assert "\n" not in message


def test_heic_without_its_reader_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    write_heic(tmp_path / "a.heic")
    with pytest.raises(PhotoUnreadable, match=r"a\.heic: is a HEIC photo.*pip install pillow-heif"):
        read_photo(tmp_path / "a.heic")


@pytest.mark.parametrize("name", ["a\nb.jpg", "a\udcffb.jpg", "a\0b.jpg", "x" * 400 + ".jpg"])
def test_a_strange_name_gives_a_printable_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(PhotoUnreadable) as refusal:
        read_photo(tmp_path / name)
    assert "\n" not in str(refusal.value)
    str(refusal.value).encode("utf-8")


def test_a_photo_of_one_pixel_is_readable(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (10, 20, 30)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png").srgb, [[[10, 20, 30]]])


def test_a_photo_of_108_megapixels_is_read_in_full(tmp_path: Path) -> None:
    Image.new("L", (12_000, 9_000), 200).save(tmp_path / "large.jpg", quality=50)
    photo = read_photo(tmp_path / "large.jpg")
    assert (photo.width, photo.height) == (12_000, 9_000)
    assert photo.srgb[8_999, 11_999].tolist() == [200, 200, 200]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4])
def test_arrays_of_every_kind_become_the_same_photo(dtype: type, channels: int) -> None:
    white = {np.uint8: 255, np.uint16: 65535}.get(dtype, 1)
    colours = make_picture() if channels >= 3 else three(grey_of(make_picture()))
    array = colours[:, :, : {0: 1, 1: 1, 2: 1, 3: 3, 4: 3}[channels]]
    if channels in (2, 4):
        array = np.dstack([array, make_alpha()])
    if channels == 0:
        array = array[:, :, 0]
    expected = flattened(colours) if channels in (2, 4) else colours
    scaled = array.astype(np.float64) / 255 * white
    scaled = np.rint(scaled).astype(dtype) if white > 1 else scaled.astype(dtype)
    np.testing.assert_array_equal(photo_from_array(scaled, "array").srgb, expected)


def test_a_mask_becomes_black_and_white() -> None:
    np.testing.assert_array_equal(photo_from_array(make_alpha() > 0, "mask").srgb, three(make_alpha()))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2, 5), np.uint8), "shape"),
        (np.zeros((0, 2, 3), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
        (np.zeros((2, 2, 3), np.int32), "int32"),
        (np.full((2, 2, 3), 2.0), r"lies in \[0, 1\]"),
        (np.full((2, 2, 3), np.nan), r"lies in \[0, 1\]"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        photo_from_array(array, "array")


def test_a_photo_cannot_be_changed_and_does_not_change_with_its_source() -> None:
    source = make_picture()
    photo = photo_from_array(source, "array")
    source[:] = 0
    np.testing.assert_array_equal(photo.srgb, make_picture())
    with pytest.raises(ValueError, match="read-only"):
        photo.srgb[0, 0] = 0


def test_a_photo_refuses_pixels_of_another_form() -> None:
    with pytest.raises(ValueError, match="uint8"):
        Photo(srgb=np.zeros((2, 2, 3), np.float32), name="a")


def test_reading_changes_no_setting_of_pillow(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    save_rgb(tmp_path / "a.png")
    read_photo(str(tmp_path / "a.png"))
    assert before == Image.MAX_IMAGE_PIXELS
