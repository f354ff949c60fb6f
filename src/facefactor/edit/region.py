# SPDX-License-Identifier: Apache-2.0
"""The part of a photo that an edit changes, and the way from maps of a working size back to the photo's pixels (numpy).

Ratios and movements are smooth, so they are found in a square of at most LARGEST_WORKING_PX pixels and enlarged; the
photo's own pixels are never made smaller. The photo is gone through in strips, so memory does not grow with its size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.photo.crop import crop_image
from facefactor.photo.read import Photo

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

LARGEST_WORKING_PX = 768
MARGIN = 0.25
"""Of the size of what is changed, kept on each side."""
STRIP_ROWS = 128
QUARTERS = tuple(np.array([row, column]) for row in (0.25, 0.75) for column in (0.25, 0.75))
"""Places within a pixel, for each of which it is read at a tear."""

Draw = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Takes the photo's linear colours (rows, columns, 3) and the maps' values there to new linear colours."""


@dataclass(frozen=True, eq=False)
class PhotoRegion:
    """A square of a photo that may reach beyond it."""

    photo: Photo
    left_px: int
    top_px: int
    side_px: int
    """In the photo."""
    size: int
    """Of the maps; as many pixels as in the photo where these are few."""

    @classmethod
    def around(cls, photo: Photo, points_px: Sequence[Float[np.ndarray, "points 2"]]) -> PhotoRegion:
        """Choose the square around some points of a photo; of those far outside it, as far as the photo is large."""
        largest = max(photo.width, photo.height)
        points = np.clip(np.concatenate(points_px), -largest, 2 * largest)
        low, high = points.min(axis=0), points.max(axis=0)
        side = max(8, math.ceil((1 + 2 * MARGIN) * float((high - low).max())))
        left, top = np.round((low + high - side) / 2).astype(int).tolist()
        return cls(photo, left, top, side, min(side, LARGEST_WORKING_PX))

    @property
    def scale(self) -> float:
        """Photo pixels per pixel of the maps."""
        return self.side_px / self.size

    def intrinsics(self, K: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
        """The photo's intrinsics in pixels of the maps."""
        return np.linalg.inv(self._T_photo_region) @ K

    def picture_srgb(self) -> Float[np.ndarray, "size size 3"]:
        """The photo in the square, at the maps' size; beyond the photo its border is repeated."""
        return crop_image(self.photo, self._T_photo_region, self.size)

    def paste(
        self,
        draw: Draw,
        maps: Float[np.ndarray, "size size channels"],
        offset: Float[np.ndarray, "size size 2"] | None = None,
    ) -> np.ndarray:
        """Draw the square anew, at the photo's resolution.

        Args:
            draw: makes the new colours.
            maps: what it is given, enlarged.
            offset: from each place to where the photo is read for it, in pixels of this map, which may be finer than
                the others; none by default. Where it tears, as at a chin before a neck, a pixel is read for either side
                by its share: between them lies something else.

        Returns:
            (height, width, 3) uint8 sRGB; outside the square, and where colours stay as they are, the photo itself.
        """
        picture = self.photo.srgb.copy()
        left, right = max(self.left_px, 0), min(self.left_px + self.side_px, self.photo.width)
        top, bottom = max(self.top_px, 0), min(self.top_px + self.side_px, self.photo.height)
        if left >= right:
            return picture
        moves = None if offset is None else (offset, _torn(offset))
        columns = np.arange(left, right)
        for first in range(top, bottom, STRIP_ROWS):
            rows = np.arange(first, min(first + STRIP_ROWS, bottom))
            kept = self.photo.srgb[rows[0] : rows[-1] + 1, left:right]
            colours = kept / np.float32(255) if moves is None else self._read_moved(rows, columns, *moves)
            drawn = draw(srgb_to_linear(colours), self._enlarge(maps, rows, columns))
            picture[rows[0] : rows[-1] + 1, left:right] = np.rint(255 * linear_to_srgb(np.clip(drawn, 0.0, 1.0)))
        return picture

    @property
    def _T_photo_region(self) -> np.ndarray:
        return np.array([[self.scale, 0.0, self.left_px], [0.0, self.scale, self.top_px], [0.0, 0.0, 1.0]])

    def _enlarge(self, maps: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Values at photo pixels, bilinearly: along one axis after the other."""
        size = len(maps)
        for axis, pixels, first in ((0, rows, self.top_px), (1, columns, self.left_px)):
            places = np.clip((pixels + 0.5 - first) * size / self.side_px - 0.5, 0, size - 1)
            lower = np.minimum(places.astype(int), size - 2)
            share = (places - lower).astype(np.float32).reshape([-1, 1, 1] if axis == 0 else [1, -1, 1])
            maps = (1 - share) * maps.take(lower, axis=axis) + share * maps.take(lower + 1, axis=axis)
        return maps

    def _read_moved(self, rows: np.ndarray, columns: np.ndarray, offset: np.ndarray, torn: np.ndarray) -> np.ndarray:
        """The photo's colours, [0, 1], at pixels moved by a map of offsets."""
        scale = self.side_px / len(offset)
        pixels = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
        colours = self._read(pixels + scale * self._enlarge(offset, rows, columns)[..., ::-1])
        ends = np.array([self.top_px, self.left_px])

        def nearest(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            row, column = np.moveaxis(np.clip((places - ends) / scale, 0, len(offset) - 1).astype(int), -1, 0)
            return row, column

        at_tears = torn[nearest(pixels + 0.5)]
        if at_tears.any():
            there = pixels[at_tears]
            either = [self._read(there + scale * offset[nearest(there + part)][:, ::-1]) for part in QUARTERS]
            colours[at_tears] = np.mean(either, axis=0)
        return colours

    def _read(self, places: Float[np.ndarray, "*places 2"]) -> Float[np.ndarray, "*places 3"]:
        """The photo's colours, [0, 1], at rows and columns between its pixels; beyond it those of its border."""
        rows = places[..., 0]
        top, bottom = (int(np.clip(edge, 0, self.photo.height)) for edge in (rows.min() - 2, rows.max() + 3))
        top = min(top, self.photo.height - 1)
        source = self.photo.srgb[top : max(bottom, top + 1)]
        coordinates = np.moveaxis(places - (top, 0), -1, 0)
        channels = [
            ndimage.map_coordinates(source[..., channel], coordinates, np.float32, order=1, mode="nearest")
            for channel in range(3)
        ]
        return np.stack(channels, axis=-1) / np.float32(255)


def _torn(offset: Float[np.ndarray, "size size 2"]) -> Bool[np.ndarray, "size size"]:
    """Beside which pixels of a map of offsets two neighbours move apart by more than a pixel."""
    torn = np.zeros(offset.shape[:2], dtype=bool)
    for axis in (0, 1):
        jumps = np.linalg.norm(np.diff(offset, axis=axis), axis=-1) > 1.0
        rows, columns = np.nonzero(jumps)
        torn[rows, columns] = torn[rows + (axis == 0), columns + (axis == 1)] = True
    return ndimage.binary_dilation(torn, np.ones((3, 3)))
