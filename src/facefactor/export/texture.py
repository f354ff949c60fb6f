# SPDX-License-Identifier: Apache-2.0
"""Bake the albedo of the mesh's vertices into a UV texture, for viewers that know textures only.

Place in the flow: albedo at the subdivided vertices → this → the base colour of `glb.py` and `obj.py`.

Each texel takes the albedo of the surface point it lies on, interpolated with barycentric weights in linear light
and then encoded to sRGB. Texels outside every chart take the colour of the nearest texel inside one, so that filtering
and mip-maps bleed no background across the seams.
"""

import numpy as np
from scipy.ndimage import distance_transform_edt

from facefactor.photo.colour import linear_to_srgb
from facefactor.render.rasterise import rasterise


def bake_albedo(
    albedo_vertices_linear: np.ndarray,
    triangles: np.ndarray,
    uv: np.ndarray,
    uv_triangles: np.ndarray,
    size: int,
) -> np.ndarray:
    """Return the (size, size, 3) uint8 sRGB texture, row 0 at v = 1.

    Args:
        albedo_vertices_linear: (S, 3) linear RGB, clipped to [0, 1].
        triangles: (F, 3) vertex indices.
        uv: (W, 2) in [0, 1], v up.
        uv_triangles: (F, 3) indices into uv, parallel to triangles.
        size: texture width and height, pixels.

    Raises:
        ValueError: no texel lies inside a triangle.
    """
    uv_texels = np.stack([uv[:, 0], 1.0 - uv[:, 1]], axis=1) * size
    flat = np.ones((1, len(uv)))  # the UV plane seen face on: one depth for all
    triangle_ids, barycentrics = rasterise(uv_texels[None], flat, uv_triangles, size, size, cull_back_faces=False)
    inside = triangle_ids[0] >= 0
    if not inside.any():
        raise ValueError(f"no texel of a {size} x {size} texture lies inside a UV triangle")

    corner_albedo = albedo_vertices_linear[triangles[triangle_ids[0, inside]]]
    texture_linear = np.zeros((size, size, 3))
    texture_linear[inside] = np.einsum("tc,tcx->tx", barycentrics[0, inside], corner_albedo)
    filled_linear = _fill_from_nearest(texture_linear, inside)
    return np.round(255.0 * linear_to_srgb(np.clip(filled_linear, 0.0, 1.0))).astype(np.uint8)


def _fill_from_nearest(texture: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Give each texel outside the charts the colour of the nearest one inside."""
    rows, columns = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    return texture[rows, columns]
