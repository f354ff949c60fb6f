# SPDX-License-Identifier: Apache-2.0
"""From a posed mesh to what its pixels see: normals, the triangle at each pixel, interpolation, colour encoding.

Everything here is differentiable in its values. The choice of triangle is not: `rasterise_camera` gives triangle ids
and barycentrics without gradient, so colours carry gradients and outlines do not. Colours are linear RGB unless a name
ends in `_srgb`; the encoding is IEC 61966-2-1.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from facefactor.camera.projection import depth_from_camera, project_points
from facefactor.render.rasterise import rasterise

SRGB_KNEE = 0.04045
"""sRGB value below which the encoding is a straight line; linear 0.0031308."""
LINEAR_KNEE = 0.0031308


class Fragments(NamedTuple):
    """What each pixel sees: the triangle, -1 for none, and the perspective-correct weights of its corners."""

    triangle_ids: Int[Tensor, "batch height width"]
    barycentrics: Float[Tensor, "batch height width 3"]


def vertex_normals(
    vertices: Float[Tensor, "*batch vertices 3"], triangles: Int[Tensor, "faces 3"]
) -> Float[Tensor, "*batch vertices 3"]:
    """Average the normals of the triangles around each vertex, weighted by their area.

    Args:
        vertices: in any frame; the normals are in the same.
        triangles: counter-clockwise seen from outside.

    Returns:
        Unit vectors that point outside; zero at a vertex without triangles.
    """
    first, second, third = (vertices.index_select(-2, corner) for corner in triangles.long().unbind(-1))
    doubled_area_normals = torch.cross(second - first, third - first, dim=-1)
    sums = torch.zeros_like(vertices)
    for corner in triangles.long().unbind(-1):
        sums = sums.index_add(-2, corner, doubled_area_normals)
    return torch.nn.functional.normalize(sums, dim=-1)


@torch.no_grad()
def rasterise_camera(
    vertices_camera: Float[Tensor, "batch vertices 3"],
    K: Float[Tensor, "*intrinsics 3 3"],
    triangles: Int[Tensor, "faces 3"],
    height: int,
    width: int,
) -> Fragments:
    """Find the nearest front-facing triangle at each pixel. Runs on the CPU; no gradient.

    Args:
        vertices_camera: camera frame, millimetres.
        K: intrinsics, one for all or one for each batch entry.
        triangles: counter-clockwise seen from outside.
        height: of the pictures, pixels.
        width: of the pictures, pixels.
    """
    positions_px, depth_mm = project_points(vertices_camera, K), depth_from_camera(vertices_camera)
    triangle_ids, barycentrics = rasterise(
        positions_px.cpu().numpy(), depth_mm.cpu().numpy(), triangles.cpu().numpy(), height, width
    )
    return Fragments(
        torch.from_numpy(triangle_ids).to(vertices_camera.device), torch.from_numpy(barycentrics).to(vertices_camera)
    )


def interpolate(
    attributes: Float[Tensor, "batch vertices channels"],
    triangle_ids: Int[Tensor, "batch height width"],
    barycentrics: Float[Tensor, "batch height width 3"],
    triangles: Int[Tensor, "faces 3"],
) -> Float[Tensor, "batch height width channels"]:
    """Blend the values at the corners of each pixel's triangle.

    Args:
        attributes: values at the vertices.
        triangle_ids: the triangle at each pixel, -1 for none.
        barycentrics: weights of its corners.
        triangles: the mesh.

    Returns:
        Values at the pixels, zero where there is no triangle.
    """
    batch, vertices, channels = attributes.shape
    covered = (triangle_ids.flatten() >= 0).nonzero()[:, 0]
    corners = triangles.long().index_select(0, triangle_ids.flatten().index_select(0, covered))
    corners = corners + (covered // triangle_ids.shape[1:].numel() * vertices)[:, None]
    weights = barycentrics.reshape(-1, 3).index_select(0, covered)
    values = attributes.reshape(batch * vertices, channels)
    blended = weights[:, 0, None] * values.index_select(0, corners[:, 0])
    for corner in (1, 2):
        blended = torch.addcmul(blended, weights[:, corner, None], values.index_select(0, corners[:, corner]))
    picture = attributes.new_zeros(triangle_ids.numel(), channels).index_copy(0, covered, blended)
    return picture.reshape(*triangle_ids.shape, channels)


def linear_to_srgb(colour_linear: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Encode linear light as sRGB. Negative values stay on the straight line; nothing is clamped above one."""
    curve = 1.055 * colour_linear.clamp_min(LINEAR_KNEE) ** (1.0 / 2.4) - 0.055
    return torch.where(colour_linear <= LINEAR_KNEE, 12.92 * colour_linear, curve)


def srgb_to_linear(colour_srgb: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Decode sRGB to linear light; the inverse of `linear_to_srgb`."""
    curve = ((colour_srgb.clamp_min(SRGB_KNEE) + 0.055) / 1.055) ** 2.4
    return torch.where(colour_srgb <= SRGB_KNEE, colour_srgb / 12.92, curve)
