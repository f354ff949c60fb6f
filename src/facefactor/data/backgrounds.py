# SPDX-License-Identifier: Apache-2.0
"""What is behind a synthetic face: a piece of a photo from a folder, or a made-up blur of walls, lights and things."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from facefactor.errors import AssetMissing, PhotoUnreadable
from facefactor.photo.read import PHOTO_SUFFIXES, read_photo

KEPT_PX = 320
"""Background photos are kept at this size at most, so that thousands of them fit into memory."""
MAX_PHOTOS = 4000


@dataclass(frozen=True)
class Backgrounds:
    """Where backgrounds come from; none means they are all made up."""

    photos: tuple[np.ndarray, ...] = ()
    """(H, W, 3) uint8 sRGB each."""

    @classmethod
    def in_folder(cls, folder: Path) -> "Backgrounds":
        """Read up to MAX_PHOTOS photos of a folder and its subfolders; files that are no photos are passed over.

        Raises:
            AssetMissing: there is no such folder, or no photo in it.
        """
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
        photos = tuple(_read_all(paths[:: max(1, len(paths) // MAX_PHOTOS)][:MAX_PHOTOS]))
        if not photos:
            raise AssetMissing(f"{folder}: holds no photo that could be a background")
        return cls(photos)

    def draw(self, size_px: int, generator: np.random.Generator) -> np.ndarray:
        """Draw a background: (size, size, 3) uint8 sRGB."""
        if self.photos and generator.random() < 0.9:
            return _piece(self.photos[generator.integers(len(self.photos))], size_px, generator)
        return make_up(size_px, generator)


def make_up(size_px: int, generator: np.random.Generator) -> np.ndarray:
    """Make up a background: a gradient or a wall, shapes in front of it, noise of several sizes, out of focus.

    Returns:
        (size, size, 3) uint8 sRGB.
    """
    base = generator.uniform(10, 245) + 18.0 * generator.standard_normal(3)
    corners = base + generator.normal(0.0, 35.0 * generator.random(), size=(2, 2, 1))
    corners = corners + 6.0 * generator.standard_normal((2, 2, 3))
    picture = _enlarge(corners, size_px).astype(np.float32)
    for cells in (4, 9, 24, 64):
        strength = generator.exponential(18.0) * (generator.random() < 0.6)
        if strength > 1.0:
            grey = strength * generator.standard_normal((cells, cells, 1))
            noise = 128.0 + grey + 0.2 * strength * generator.standard_normal((cells, cells, 3))
            picture += _enlarge(noise, size_px).astype(np.float32) - 128.0
    _add_shapes(picture, generator)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return _defocus(image, generator)


def _read_all(paths: Sequence[Path]) -> list[np.ndarray]:
    photos = []
    for path in paths:
        try:
            image = Image.fromarray(read_photo(path).srgb)
        except PhotoUnreadable:
            continue
        image.thumbnail((KEPT_PX, KEPT_PX))
        photos.append(np.asarray(image))
    return photos


def _piece(photo: np.ndarray, size_px: int, generator: np.random.Generator) -> np.ndarray:
    """Cut a random square, mirror it now and then, and put it out of focus now and then."""
    side = int(min(photo.shape[:2]) * generator.uniform(0.35, 1.0))
    top, left = (generator.integers(length - side + 1) for length in photo.shape[:2])
    piece = photo[top : top + side, left : left + side]
    if generator.random() < 0.5:
        piece = piece[:, ::-1]
    image = Image.fromarray(np.ascontiguousarray(piece)).resize((size_px, size_px), Image.Resampling.BILINEAR)
    return _defocus(image, generator)


def _defocus(image: Image.Image, generator: np.random.Generator) -> np.ndarray:
    """Blur by shrinking and enlarging, which is fast: not at all, a little or much."""
    size = image.width
    factor = float(np.exp(generator.uniform(0.0, np.log(12.0)))) if generator.random() < 0.75 else 1.0
    small = max(4, int(size / factor))
    if small < size:
        image = image.resize((small, small), Image.Resampling.BOX)
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _enlarge(cells: np.ndarray, size_px: int) -> np.ndarray:
    image = Image.fromarray(np.clip(cells, 0, 255).astype(np.uint8))
    return np.asarray(image.resize((size_px, size_px), Image.Resampling.BICUBIC))


def _add_shapes(picture: np.ndarray, generator: np.random.Generator) -> None:
    """Put boxes and discs (window, shelf, lamp) into a picture, in place."""
    size = len(picture)
    row, column = np.ogrid[:size, :size]
    for _ in range(generator.integers(6)):
        x, y = generator.uniform(-0.1, 1.1, size=2) * size
        width, height = np.exp(generator.uniform(-3.0, 0.0, size=2)) * size
        colour = generator.uniform(0, 255) * 0.8 + generator.uniform(0, 255, size=3) * 0.2
        if generator.random() < 0.6:
            inside = (np.abs(column - x) < width / 2) & (np.abs(row - y) < height / 2)
        else:
            inside = (column - x) ** 2 + (row - y) ** 2 < (min(width, height) / 2) ** 2
        picture[inside] += generator.uniform(0.4, 1.0) * (colour - picture[inside])
