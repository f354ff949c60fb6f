# SPDX-License-Identifier: Apache-2.0
"""Bake the albedo of the mesh's vertices into a UV texture, for viewers that know textures only.

Place in the flow: albedo at the subdivided vertices → this → the base colour of `glb.py` and `obj.py`.

Each texel takes the albedo of the surface point it lies on, interpolated with barycentric weights in linear light
and then encoded to sRGB. A texel just outside a chart takes that of the chart's nearest point, so that filtering finds
the same colours on both sides of a seam; those further out take the colour of the nearest texel that has one, so that
mip-maps bleed no background across it.
"""

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt

from facefactor.face.closest import closest_points
from facefactor.photo.colour import linear_to_srgb
from facefactor.render.fragments import blend_corners
from facefactor.render.rasterise import rasterise

RING_TEXELS = 2
"""Texels around each chart that continue it; bilinear filtering reads one."""


class TextureAtlas:
    """Where on a mesh the texels of its UV layout lie: found once, the same for every face of a model.

    Args:
        triangles: (F, 3) vertex indices.
        uv: (W, 2) in [0, 1], v up.
        uv_triangles: (F, 3) indices into uv, parallel to triangles.
        size: texture width and height, pixels.

    Raises:
        ValueError: no texel lies inside a triangle.
    """

    def __init__(self, triangles: np.ndarray, uv: np.ndarray, uv_triangles: np.ndarray, size: int) -> None:
        uv_texels = np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1) * size
        flat = np.ones((1, len(uv)))  # the UV plane seen face on: one depth for all
        (ids,), (weights,) = rasterise(uv_texels[None], flat, uv_triangles, size, size, cull_back_faces=False)
        inside = ids >= 0
        if not inside.any():
            raise ValueError(f"no texel of a {size} x {size} texture lies inside a UV triangle")
        around = binary_dilation(inside, np.ones((3, 3)), iterations=RING_TEXELS) & ~inside
        ids[around], weights[around] = _nearest_on_charts(around, uv_texels, uv_triangles)
        inside |= around
        self.corners: np.ndarray = triangles[ids[inside]]
        """(T, 3) vertices of the triangle that each texel in or just around a chart lies in, or next to."""
        self.weights: np.ndarray = weights[inside]
        """(T, 3) their barycentric weights."""
        self._nearest = _nearest_inside(inside)

    def bake(self, albedo_vertices_linear: np.ndarray) -> np.ndarray:
        """Return the (size, size, 3) uint8 sRGB texture, row 0 at v = 1.

        Args:
            albedo_vertices_linear: (S, 3) linear RGB, clipped to [0, 1].
        """
        return self.encode(self.blend(np.clip(albedo_vertices_linear, 0.0, 1.0)))

    def blend(self, values: np.ndarray) -> np.ndarray:
        """Interpolate what is given at the vertices, (S, C), to the texels of the charts, (T, C) float32."""
        return blend_corners(values, self.corners, self.weights)

    def encode(self, texels_linear: np.ndarray) -> np.ndarray:
        """Return the (size, size, 3) uint8 sRGB texture of (T, 3) linear RGB in [0, 1], row 0 at v = 1."""
        return np.rint(255.0 * linear_to_srgb(texels_linear)).astype(np.uint8)[self._nearest]


def _nearest_on_charts(
    around: np.ndarray, uv_texels: np.ndarray, uv_triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For the texels of a mask the nearest UV triangle, (N,), and the weights of the nearest point in it, (N, 3)."""
    rows, columns = np.nonzero(around)
    centres, flat = np.stack([columns, rows], axis=1) + 0.5, ((0, 0), (0, 1))
    found = closest_points(np.pad(centres, flat), np.pad(uv_texels, flat), uv_triangles)
    return found.triangles, found.barycentrics


def _nearest_inside(inside: np.ndarray) -> np.ndarray:
    """For each texel of (size, size) the number of the nearest one inside the charts, counted row by row."""
    rows, columns = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    number = np.cumsum(inside, dtype=np.int32).reshape(inside.shape) - 1
    return number[rows, columns]
