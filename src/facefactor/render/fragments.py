# SPDX-License-Identifier: Apache-2.0
"""What each pixel sees of posed meshes: the triangle there, and values blended over its corners (numpy).

No gradient passes here: which triangle is seen does not change smoothly. Place in the flow: posed vertices → this →
pictures (`picture.py`) and the depth test of vertices (`vertex.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facefactor.camera.projection import depth_from_camera, project_points
from facefactor.render.rasterise import rasterise

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Fragments(NamedTuple):
    """What each pixel sees: the triangle, -1 for none, and the perspective-correct weights of its corners."""

    triangle_ids: Int[np.ndarray, "batch height width"]
    barycentrics: Float[np.ndarray, "batch height width 3"]


def rasterise_camera(
    vertices_camera: Float[np.ndarray, "batch vertices 3"],
    K: Float[np.ndarray, "*intrinsics 3 3"],
    triangles: Int[np.ndarray, "faces 3"],
    height: int,
    width: int,
) -> Fragments:
    """Find the nearest front-facing triangle at each pixel.

    Args:
        vertices_camera: camera frame, millimetres.
        K: intrinsics, one for all or one for each batch entry.
        triangles: counter-clockwise seen from outside.
        height: of the pictures, pixels.
        width: of the pictures, pixels.
    """
    positions_px, depth_mm = project_points(vertices_camera, K), depth_from_camera(vertices_camera)
    return Fragments(*rasterise(positions_px, depth_mm, triangles, height, width))


def blend_corners(
    values: Float[np.ndarray, "vertices channels"],
    corners: Int[np.ndarray, "points 3"],
    weights: Float[np.ndarray, "points 3"],
) -> Float[np.ndarray, "points channels"]:
    """Blend the values at the corners of triangles.

    Args:
        values: at the vertices.
        corners: vertex ids of each point's triangle.
        weights: barycentric, in the precision of the answer.
    """
    values = values.astype(weights.dtype, copy=False)
    blended = weights[:, :1] * values.take(corners[:, 0], axis=0)
    for corner in (1, 2):
        blended += weights[:, corner, None] * values.take(corners[:, corner], axis=0)
    return blended
