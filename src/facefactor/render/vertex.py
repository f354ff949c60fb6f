# SPDX-License-Identifier: Apache-2.0
"""The renderer of fitting and training: colours at vertices, no rasteriser in the gradient path.

MoFA (Tewari et al. 2017, arXiv:1703.10580, section 5) compares a photo with a face at the face's vertices: each is
projected, lit, and compared with the photo's colour at its place. For numpy arrays, and for torch tensors with
gradients to pose, shape, albedo and light. Which vertices count is decided without gradient: those in the picture that
face the camera and that nothing hides in the z-buffer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

import numpy as np
from array_api_compat import device

from facefactor.arrays import Array, array_namespace, on_accelerator, to_numpy, unit_vectors, without_gradient
from facefactor.camera.projection import depth_from_camera, project_points
from facefactor.face.normals import vertex_normals
from facefactor.light.spherical_harmonics import shade
from facefactor.render.fragments import rasterise_camera

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

MIN_FACING_COSINE = 0.1
"""Vertices seen flatter than this (84°) are left out: their place in the picture says little about their colour."""
HIDDEN_MARGIN_MM = 0.5
"""A vertex farther behind the z-buffer than this and the slope within a pixel is hidden; less than a lid is thick."""


@dataclass(frozen=True, eq=False)
class VertexRendering(Generic[Array]):
    """What a renderer of vertices sees.

    Attributes:
        positions_px: where each vertex falls in the picture.
        depth_mm: distance along the camera's axis.
        normals_camera: unit vectors in the camera frame.
        colour_linear: lit albedo, linear RGB, not clamped.
        is_visible: in the picture, facing the camera and not hidden; no gradient.
    """

    positions_px: Float[Array, "batch vertices 2"]
    depth_mm: Float[Array, "batch vertices"]
    normals_camera: Float[Array, "batch vertices 3"]
    colour_linear: Float[Array, "batch vertices 3"]
    is_visible: Bool[Array, "batch vertices"]


def render_vertices(
    vertices_camera: Float[Array, "batch vertices 3"],
    albedo_linear: Float[Array, "#batch vertices 3"],
    illumination: Float[Array, "#batch 9 3"],
    K: Float[Array, "*intrinsics 3 3"],
    triangles: Int[Array, "faces 3"],
    height: int,
    width: int,
) -> VertexRendering[Array]:
    """Project, light and test the vertices of posed faces.

    Args:
        vertices_camera: camera frame, millimetres.
        albedo_linear: linear RGB at the vertices.
        illumination: spherical harmonics in the camera frame.
        K: intrinsics in pixels of the picture, one for all or one for each batch entry.
        triangles: counter-clockwise seen from outside.
        height: of the picture, pixels.
        width: of the picture, pixels.
    """
    normals = vertex_normals(vertices_camera, triangles)
    return VertexRendering(
        positions_px=project_points(vertices_camera, K),
        depth_mm=depth_from_camera(vertices_camera),
        normals_camera=normals,
        colour_linear=shade(albedo_linear, normals, illumination),
        is_visible=find_visible(vertices_camera, normals, K, triangles, height, width),
    )


def find_visible(
    vertices_camera: Float[Array, "batch vertices 3"],
    normals_camera: Float[Array, "batch vertices 3"],
    K: Float[Array, "*intrinsics 3 3"],
    triangles: Int[Array, "faces 3"],
    height: int,
    width: int,
) -> Bool[Array, "batch vertices"]:
    """Decide which vertices the camera sees, without gradient; arguments as in `render_vertices`.

    A vertex is hidden when it lies farther than the z-buffer at its pixel by more than a margin and what its own
    surface can slope within one pixel: pixel size × tan(angle between normal and view). Tensors on an accelerator are
    tested there, all others on the CPU.
    """
    if on_accelerator(vertices_camera):
        from facefactor.render.depth_buffer import nearest_depth_mm  # imports torch

        vertices = without_gradient(vertices_camera)
        buffer = nearest_depth_mm(project_points(vertices, K), depth_from_camera(vertices), triangles, height, width)
        return _depth_test(vertices, without_gradient(normals_camera), K, buffer)
    arrays = to_numpy(vertices_camera), to_numpy(normals_camera), to_numpy(K)
    is_visible = _depth_test(*arrays, _depth_on_cpu(arrays[0], arrays[2], to_numpy(triangles), height, width))
    return array_namespace(vertices_camera).asarray(is_visible, device=device(vertices_camera))


def _depth_on_cpu(vertices: np.ndarray, K: np.ndarray, triangles: np.ndarray, height: int, width: int) -> np.ndarray:
    """Depth at each pixel, infinite where there is nothing."""
    triangle_ids, weights = rasterise_camera(vertices, K, triangles, height, width)
    entry = np.arange(len(vertices))[:, None, None, None]
    surface_mm = (weights * depth_from_camera(vertices)[entry, triangles[triangle_ids]]).sum(axis=-1)
    return np.where(triangle_ids >= 0, surface_mm, np.inf)


def _depth_test(vertices: Array, normals: Array, K: Array, buffer_mm: Array) -> Array:
    """Compare vertices with the depths (batch, height, width) at their pixels."""
    xp = array_namespace(vertices)
    batch, height, width = buffer_mm.shape
    positions_px, depth_mm = project_points(vertices, K), depth_from_camera(vertices)
    x, y = positions_px[..., 0], positions_px[..., 1]
    is_inside = (x >= 0.0) & (x < width) & (y >= 0.0) & (y < height)
    column, row = (xp.astype(xp.where(is_inside, place, xp.zeros_like(place)), xp.int64) for place in (x, y))
    first = xp.arange(batch, device=device(vertices))[:, None] * (height * width)
    pixels = xp.reshape(first + row * width + column, (-1,))
    nearest_mm = xp.reshape(xp.take(xp.reshape(buffer_mm, (-1,)), pixels, axis=0), depth_mm.shape)

    facing_cosine = facing_cosines(vertices, normals)
    cosine = facing_cosine.clip(MIN_FACING_COSINE, 1.0)
    slope = xp.sqrt(1.0 - cosine * cosine) / cosine
    pixel_mm = depth_mm / K[..., 0, 0, None]
    is_hidden = depth_mm > nearest_mm + HIDDEN_MARGIN_MM + pixel_mm * slope
    return is_inside & (facing_cosine > MIN_FACING_COSINE) & (depth_mm > 0.0) & ~is_hidden


def facing_cosines(
    vertices_camera: Float[Array, "*batch vertices 3"], normals_camera: Float[Array, "*batch vertices 3"]
) -> Float[Array, "*batch vertices"]:
    """Cosine between each vertex's normal and the direction to the camera; 1 where the surface faces it."""
    xp = array_namespace(vertices_camera)
    return xp.sum(normals_camera * -unit_vectors(vertices_camera), axis=-1)


def sample_picture(
    picture: Float[Array, "batch height width channels"], positions_px: Float[Array, "batch points 2"]
) -> Float[Array, "batch points channels"]:
    """Read a picture at places between its pixels, bilinearly, with gradients to both.

    Args:
        picture: any channels, row 0 at the top.
        positions_px: x right and y down, pixel centres at half-integers; beyond the outermost centres the border's
            colour is read, without a gradient to the place.
    """
    xp = array_namespace(picture)
    batch, height, width, channels = picture.shape
    x = (positions_px[..., 0] - 0.5).clip(0, width - 1)
    y = (positions_px[..., 1] - 0.5).clip(0, height - 1)
    left = xp.astype(x, xp.int64).clip(0, width - 1)  # a place that is not a number reads some pixel
    top = xp.astype(y, xp.int64).clip(0, height - 1)
    right, bottom = (left + 1).clip(max=width - 1), (top + 1).clip(max=height - 1)
    pixels = xp.reshape(picture, (-1, channels))
    first = xp.arange(batch, device=device(picture))[:, None] * (height * width)

    def read(row: Array, column: Array) -> Array:
        places = xp.reshape(first + row * width + column, (-1,))
        return xp.reshape(xp.take(pixels, places, axis=0), (*row.shape, channels))

    across, down = (x - xp.astype(left, x.dtype))[..., None], (y - xp.astype(top, y.dtype))[..., None]
    upper_left, lower_left = read(top, left), read(bottom, left)
    upper = upper_left + across * (read(top, right) - upper_left)
    lower = lower_left + across * (read(bottom, right) - lower_left)
    return upper + down * (lower - upper)
