# SPDX-License-Identifier: Apache-2.0
"""How the landmark network comes to see a face: looks that are far off, looks that are nearly right, and misses.

Place in the flow: `landmark_batches.py` cuts a look out of each stored crop. At run time the first look follows a
detector's box, whose place and size are rough and whose roll is known to 45°; further looks follow points that were
found. A look is T_stored_crop of `crops.py`, but may reach outside the stored crop, whose border is then repeated, as
`photo.crop` does outside a photo.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facefactor.data.backgrounds import make_up
from facefactor.data.crops import CORPUS_CROP_PX, cut_crop
from facefactor.encode import ENCODER_CROP_PX
from facefactor.photo.crop import crop_to_photo, similarity

MIRROR = np.array([[-1.0, 0.0, ENCODER_CROP_PX], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
LARGEST_CUT = 0.4
"""Share of a stored crop that the photo's border may cut off."""
SMALLEST_PX = 14
"""A face this small in its photo, enlarged to the crop, is still looked at."""
NUM_TILES = 4
"""Along each side of a scrambled face."""


@dataclass(frozen=True)
class LookLimits:
    """How far a look may stray from the exact crop: uniform within the limits, the scale in its logarithm."""

    shift_px: float
    """Largest shift along either axis, stored pixels."""
    smallest_scale: float
    """Size of the crop over the exact one's."""
    largest_scale: float
    roll_deg: float
    """Largest turn either way."""


FIRST_LOOK = LookLimits(20.0, 0.75, 1.35, 40.0)
"""After a detector's box."""
FURTHER_LOOK = LookLimits(5.0, 0.94, 1.06, 6.0)
"""After points that were found."""


def draw_look(generator: np.random.Generator, limits: LookLimits) -> NDArray[np.float64]:
    """Draw a look at a face: T_stored_crop (3, 3), mirrored as often as not."""
    shift_px = limits.shift_px * generator.uniform(-1, 1, 2)
    scale = np.exp(generator.uniform(np.log(limits.smallest_scale), np.log(limits.largest_scale)))
    roll_rad = np.radians(limits.roll_deg) * generator.uniform(-1, 1)
    look = similarity(CORPUS_CROP_PX / 2 + shift_px, float(scale), roll_rad, ENCODER_CROP_PX)
    return look @ MIRROR if generator.random() < 0.5 else look


def cut_look(stored_srgb: NDArray[np.uint8], T_stored_crop: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Sample the look, (128, 128, 3), with the border of the stored crop repeated outside it."""
    size = ENCODER_CROP_PX
    corners = crop_to_photo([[0, 0], [size, 0], [0, size], [size, size]], T_stored_crop)
    outside_px = int(np.ceil(max(-corners.min(), corners.max() - CORPUS_CROP_PX, 0.0))) + 1
    padded = np.pad(stored_srgb, ((outside_px, outside_px), (outside_px, outside_px), (0, 0)), mode="edge")
    T_padded_crop = T_stored_crop.copy()
    T_padded_crop[:2, 2] += outside_px
    return cut_crop(padded, T_padded_crop)


def draw_miss(stored_srgb: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a crop that shows no face, or one that stands on its head or lies: (128, 128, 3).

    Args:
        stored_srgb: (160, 160, 3) with a face, which the miss is made of.
        generator: of the kind of miss, and of all else.
    """
    kind = generator.integers(5)
    if kind == 0:
        return make_up(ENCODER_CROP_PX, generator)
    if kind == 1:
        return _scramble(cut_look(stored_srgb, draw_look(generator, FIRST_LOOK)), generator)
    centre_px, scale, roll_rad = np.full(2, CORPUS_CROP_PX / 2), np.exp(generator.uniform(-0.3, 0.3)), 0.0
    if kind == 2:  # on its head
        centre_px = centre_px + generator.uniform(-15, 15, 2)
        roll_rad = np.radians(generator.uniform(110, 250))
    elif kind == 3:  # beside the face
        direction = generator.uniform(0, 2 * np.pi)
        centre_px = centre_px + generator.uniform(65, 110) * np.array([np.cos(direction), np.sin(direction)])
        roll_rad = generator.uniform(-0.7, 0.7)
    else:  # a piece of it
        scale = np.exp(generator.uniform(np.log(0.12), np.log(0.35)))
        centre_px = centre_px + generator.uniform(-45, 45, 2)
        roll_rad = generator.uniform(-np.pi, np.pi)
    return cut_look(stored_srgb, similarity(centre_px, float(scale), float(roll_rad), ENCODER_CROP_PX))


def cut_off(
    crop_srgb: NDArray[np.uint8], points_px: NDArray[np.floating], generator: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Let the photo end within a crop, at one side; its last pixels are repeated from there.

    Returns:
        The crop, and which of the points (478,) are still on the photo.
    """
    turns = int(generator.integers(4))
    kept = generator.uniform(1 - LARGEST_CUT, 1) * len(crop_srgb)
    turned = np.rot90(crop_srgb, turns).copy()
    turned[:, int(kept) :] = turned[:, int(kept) - 1 : int(kept)]
    across = (points_px[:, 0], points_px[:, 1], len(crop_srgb) - points_px[:, 0], len(crop_srgb) - points_px[:, 1])
    return np.ascontiguousarray(np.rot90(turned, -turns)), across[turns] < int(kept)


def cover(
    crop_srgb: NDArray[np.uint8], points_px: NDArray[np.floating], generator: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Hold something before a crop: a rectangle of a made-up picture.

    Returns:
        The crop, and which of the points (478,) are not behind it.
    """
    size = len(crop_srgb)
    extent = (size * generator.uniform(0.1, 0.45, 2)).astype(int)
    start = (generator.uniform(0, 1, 2) * (size - extent)).astype(int)
    covered = crop_srgb.copy()
    rows, columns = (slice(first, first + length) for first, length in zip(start[::-1], extent[::-1], strict=True))
    covered[rows, columns] = make_up(int(extent.max()), generator)[: extent[1], : extent[0]]
    behind = ((points_px >= start) & (points_px < start + extent)).all(axis=1)
    return covered, ~behind


def shrink(crop_srgb: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Show a face that is small in its photo: shrunk by a random factor, and enlarged again."""
    image = Image.fromarray(crop_srgb)
    small = int(np.exp(generator.uniform(np.log(SMALLEST_PX), np.log(image.width))))
    return np.asarray(image.resize((small, small), Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR))


def _scramble(crop_srgb: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Change the tiles of a crop about."""
    side = len(crop_srgb) // NUM_TILES
    tiles = crop_srgb.reshape(NUM_TILES, side, NUM_TILES, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    mixed = tiles[generator.permutation(len(tiles))].reshape(NUM_TILES, NUM_TILES, side, side, 3)
    return mixed.swapaxes(1, 2).reshape(crop_srgb.shape)
