# SPDX-License-Identifier: Apache-2.0
"""Where the face ends, softly: what is laid over a photo, or corrected, fades out there (numpy, scipy)."""

import numpy as np

from facefactor.face.adjacency import adjacency_matrix, triangle_sides
from facefactor.face.model import FaceModel

FACE_REGIONS = ("face", "left_socket", "right_socket", "left_lid_margin", "right_lid_margin", "mouth_lining")
"""The skin of the face, hidden parts included; there is no border at eyes and lips."""
FADE_STEPS = 6
"""Rings of native vertices over which the face fades."""


def face_opacity(model: FaceModel) -> np.ndarray:
    """How much of the face's own each native vertex shows, (V,) float32: 1 inside, 0 from its border outwards."""
    outside = np.setdiff1d(model.regions["skin"], np.concatenate([model.regions[name] for name in FACE_REGIONS]))
    inside = np.ones(model.num_vertices)
    inside[outside] = 0.0
    neighbours = adjacency_matrix(triangle_sides(model.triangles), model.num_vertices)
    for _ in range(FADE_STEPS):
        inside = (inside + neighbours @ inside) / (1.0 + neighbours.sum(axis=1).A1)
    return np.clip(2.0 * inside - 1.0, 0.0, 1.0).astype(np.float32)
