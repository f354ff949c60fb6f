# SPDX-License-Identifier: Apache-2.0
"""SyntheticFace: one rendered face with all that is known of it (numpy)."""

from dataclasses import dataclass

import numpy as np

from facefactor.code.face_code import FaceCode


@dataclass(frozen=True, eq=False)
class SyntheticFace:
    """One synthetic face; everything but the picture is exact."""

    picture_srgb: np.ndarray
    """(H, W, 3) uint8."""
    code: FaceCode[np.ndarray]
    """In the encoder crop's camera; float32."""
    landmarks_px: np.ndarray
    """(478, 2) float32, pixels of the picture."""
    visibility: np.ndarray
    """(478,) float32, one where the landmark can be seen, zero where something hides it or it lies outside."""
