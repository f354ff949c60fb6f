# SPDX-License-Identifier: Apache-2.0
"""The landmark error of codes in their crops, as every report of training states it (torch).

    error = mean distance of the 51 inner landmarks / side of the face × 100 %

The side is √area of the face's box: of the detector's on photos, as in `portraits.py`, of the box around the exact
landmarks on rendered faces, which no detector has seen. The 17 points of the jaw are left out: they mark an outline
that moves over the surface as the head turns.
"""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from facefactor.data.photo_sample import PhotoSample
from facefactor.photo.landmarks import IBUG_51_FROM_478


def landmark_percent(
    projected_px: Float[Tensor, "batch 478 2"], marks_px: Float[Tensor, "batch 478 2"], side_px: Float[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Error of each face, per cent of its side.

    Args:
        projected_px: landmarks of the answer.
        marks_px: where they should be.
        side_px: of the faces, in the same pixels.
    """
    inner = list(IBUG_51_FROM_478)
    return 100 * (projected_px[:, inner] - marks_px[:, inner]).norm(dim=-1).mean(dim=-1) / side_px


def landmark_box_side_px(marks_px: Float[Tensor, "batch 478 2"]) -> Float[Tensor, " batch"]:
    """√area of the box around the landmarks."""
    return (marks_px.amax(dim=1) - marks_px.amin(dim=1)).prod(dim=-1).sqrt()


def face_box_side_px(samples: list[PhotoSample]) -> Float[Tensor, " batch"]:
    """√area of the detector's boxes, in pixels of the crops, which have those of the stored crops."""
    return torch.tensor([_side_px(sample.face_box.area_px2, sample.T_photo_crop) for sample in samples])


def _side_px(area_px2: float, T_photo_crop: NDArray[np.float64]) -> float:
    return float(np.sqrt(area_px2 / np.linalg.det(T_photo_crop[:2, :2])))
