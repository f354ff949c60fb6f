# SPDX-License-Identifier: Apache-2.0
"""What of the difference between a photo's colours and those that are expected can be detail of skin.

Gloss is not: light mirrored by the skin adds the lamp's colour to the skin's, which can be taken off again where both
differ (Shafer 1985, Using color to separate reflection components). What is still brighter than the skin around, or of
another hue, is compressed. `photo_texture.py` uses it for every texel that a photo shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facefactor.fit.detail import RATIO_FLOOR

if TYPE_CHECKING:
    from jaxtyping import Float

BRIGHTEST_LOG_RATIO = 0.3
"""Detail brighter than the skin around is compressed to less than this: most of it is gloss."""
MOST_TINTED_LOG_RATIO = 0.25
"""Detail more tinted than this is compressed to less: it is the colour of another lamp, or of the camera's noise."""
DARK_LINEAR = 0.03
"""Expected colour of a channel at which its ratio is half believed."""
LEAST_REDNESS = 0.03
"""Red less blue of the expected colour, linear, below which skin and lamp are too alike to be told apart."""


def skin_ratio(
    photo_linear: Float[np.ndarray, "places 3"],
    expected_linear: Float[np.ndarray, "places 3"],
    lamp_colour: Float[np.ndarray, "3"],
) -> tuple[Float[np.ndarray, "places 3"], Float[np.ndarray, " places"]]:
    """Log ratio of photo to expected colour, as far as it can be skin's; and of their brightness, as it is.

    Where a channel is dark its ratio says little, and so does the ratio's colour.

    Args:
        photo_linear: colours, linear RGB.
        expected_linear: the colours that the skin would have without detail.
        lamp_colour: of the light, mean one.
    """
    matt_linear = without_gloss(photo_linear, expected_linear, lamp_colour)
    log_ratio = np.log(np.maximum(matt_linear, RATIO_FLOOR) / np.maximum(expected_linear, RATIO_FLOOR))
    known = expected_linear / (expected_linear + DARK_LINEAR)
    brightness = (known * log_ratio).sum(axis=1, keepdims=True) / known.sum(axis=1, keepdims=True)
    tint = known.min(axis=1, keepdims=True) * (log_ratio - brightness)
    compressed = np.where(brightness > 0.0, _compressed(brightness, BRIGHTEST_LOG_RATIO), brightness)
    return compressed + _compressed(tint, MOST_TINTED_LOG_RATIO), brightness[:, 0]


def without_gloss(
    photo_linear: Float[np.ndarray, "places 3"],
    expected_linear: Float[np.ndarray, "places 3"],
    lamp_colour: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "places 3"]:
    """Take off the light that skin mirrors, where the photo is brighter than expected.

    With colours divided by the lamp's, gloss adds one number g to red, green and blue alike. It is the g that gives
    photo − g the expected ratio of red to blue: g = (photo_b expected_r − photo_r expected_b) / (expected_r −
    expected_b). Skin is red, so this has an answer; brighter skin of the same colour has g = 0.

    Args:
        photo_linear: colours, linear RGB.
        expected_linear: the colours without gloss, but for their brightness.
        lamp_colour: of the light, mean one.
    """
    photo, expected = photo_linear / lamp_colour, np.maximum(expected_linear, RATIO_FLOOR) / lamp_colour
    redness = np.maximum(expected[:, 0] - expected[:, 2], LEAST_REDNESS)
    gloss = (photo[:, 2] * expected[:, 0] - photo[:, 0] * expected[:, 2]) / redness
    brighter = photo.mean(axis=1) - expected.mean(axis=1)  # more than this is not taken: what remains is no darker
    return photo_linear - np.clip(np.minimum(gloss, brighter), 0.0, None)[:, None] * lamp_colour


def _compressed(log_ratio: np.ndarray, limit: float) -> np.ndarray:
    """Small log ratios as they are, larger ones bent so that they stay below the limit."""
    return limit * np.tanh(log_ratio / limit)
