# SPDX-License-Identifier: Apache-2.0
"""Tell whether a face can teach anything: what is measured of a stored crop, and the limits.

Place in the flow: `prepare`, after the crop. Only what is unusable is refused: training needs the dark, the grainy and
the badly lit photos of its users too. All is measured inside the face's outline, on sRGB-encoded values in [0, 1]:

    sharpness    variance of the Laplacian over the variance, both of the grey value: contrast and exposure cancel, and
                 as the crop is always of one size, so does the size of the photo
    brightness   95th percentile of the largest channel: tells black from dark skin in dim light
    burnt        share of pixels in which all channels are at their end
    saturation   mean of (largest - smallest) / largest channel: a black-and-white photo has no albedo to learn
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facefactor.photo.landmarks import FACE_OVAL

LEAST_SHARPNESS = 0.004
"""A Gaussian blur of 3 px in the stored crop (the eyes are 35 px apart) leaves 0.0027, of 1 px 0.027 (medians)."""
LEAST_BRIGHTNESS = 0.15
"""The darkest of 480 photos in which a person could be recognised has 0.38."""
LARGEST_BURNT = 0.25
"""The most burnt of those photos has 0.31, the next 0.06."""
BURNT_SRGB = 250
"""Of 255; a channel above it is at its end."""
LEAST_SATURATION = 0.02
"""Black-and-white photos have up to 0.001, the greyest colour photo, of dark skin in blue light, 0.039."""
GREY_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Of the channels in the grey value (ITU-R BT.601)."""


@dataclass(frozen=True)
class Quality:
    """What is measured of a face; see the module's table."""

    sharpness: float
    brightness: float
    burnt: float
    saturation: float

    def fault(self) -> str | None:
        """Name what makes the face unusable; None when nothing does."""
        if self.brightness < LEAST_BRIGHTNESS:
            return "under_exposed"
        if self.burnt > LARGEST_BURNT:
            return "over_exposed"
        if self.saturation < LEAST_SATURATION:
            return "grey"
        return "blurred" if self.sharpness < LEAST_SHARPNESS else None


def measure_quality(crop_srgb: NDArray[np.uint8], landmarks_px: NDArray[np.floating]) -> Quality:
    """Measure a face.

    Args:
        crop_srgb: (height, width, 3) the stored crop.
        landmarks_px: (478, 2) pixels of the crop.
    """
    inside = _face_mask(crop_srgb.shape[:2], landmarks_px)
    pixels = crop_srgb[inside] / 255.0
    grey = crop_srgb @ (GREY_WEIGHTS / 255.0)
    largest, smallest = pixels.max(axis=1), pixels.min(axis=1)
    return Quality(
        sharpness=float(_laplacian(grey)[inside].var() / max(grey[inside].var(), 1e-6)),
        brightness=float(np.percentile(largest, 95)),
        burnt=float((smallest >= BURNT_SRGB / 255.0).mean()),
        saturation=float(((largest - smallest) / np.maximum(largest, 1 / 255.0)).mean()),
    )


def _face_mask(size: tuple[int, ...], landmarks_px: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Pixels inside the face's outline; all of them when the outline lies outside the crop."""
    mask = Image.new("1", (size[1], size[0]))
    ImageDraw.Draw(mask).polygon([tuple(point) for point in landmarks_px[list(FACE_OVAL)].tolist()], fill=1)
    inside = np.asarray(mask)
    return inside if inside.any() else np.ones_like(inside)


def _laplacian(grey: NDArray[np.floating]) -> NDArray[np.floating]:
    """Sum of the four neighbours less four times the pixel; border pixels are repeated outside."""
    padded = np.pad(grey, 1, mode="edge")
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * grey
