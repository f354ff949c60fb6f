# SPDX-License-Identifier: Apache-2.0
"""The inner loop of `crop.crop_image`, compiled by numba; importing this module imports numba."""

from typing import no_type_check

import numpy as np

from facefactor.compiled import compile_kernel


@compile_kernel
@no_type_check
def average_samples(image, T_image_samples, samples, crop):
    """Interpolate an image at the centres of a grid and average `samples` × `samples` of them a crop pixel.

    Bilinear between pixel centres, the first of which is at (0.5, 0.5); border pixels are repeated outside.

    Args:
        image: (height, width, 3) float32.
        T_image_samples: (3, 3) float64, pixels of the grid to pixels of the image.
        samples: along each side of a crop pixel.
        crop: (size, size, 3) float32, written.
    """
    height, width = image.shape[:2]
    share, sums = np.float32(1.0 / (samples * samples)), np.zeros(3, dtype=np.float32)
    for row in range(crop.shape[0]):
        for column in range(crop.shape[1]):
            sums[:] = 0
            for sample in range(samples * samples):
                across = column * samples + sample % samples + 0.5
                down = row * samples + sample // samples + 0.5
                x = T_image_samples[0, 0] * across + T_image_samples[0, 1] * down + T_image_samples[0, 2] - 0.5
                y = T_image_samples[1, 0] * across + T_image_samples[1, 1] * down + T_image_samples[1, 2] - 0.5
                x, y = min(max(x, 0.0), width - 1.0), min(max(y, 0.0), height - 1.0)
                left, top = int(x), int(y)
                right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
                to_right, to_bottom = np.float32(x - left), np.float32(y - top)
                to_left, to_top = np.float32(1) - to_right, np.float32(1) - to_bottom
                upper_left, upper_right = to_top * to_left, to_top * to_right
                lower_left, lower_right = to_bottom * to_left, to_bottom * to_right
                for channel in range(3):
                    sums[channel] += (
                        upper_left * image[top, left, channel]
                        + upper_right * image[top, right, channel]
                        + lower_left * image[bottom, left, channel]
                        + lower_right * image[bottom, right, channel]
                    )
            for channel in range(3):
                crop[row, column, channel] = sums[channel] * share
