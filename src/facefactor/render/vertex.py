# SPDX-License-Identifier: Apache-2.0
"""The renderer of fitting and training: colours at vertices, no rasteriser in the gradient path.

MoFA (Tewari et al. 2017, arXiv:1703.10580, section 5) compares a photo with a face at the face's vertices: each is
projected, lit, and compared with the photo's colour at its place. All of it is differentiable in pose, shape, albedo
and light. Which vertices count is decided without gradient: those in the picture that face the camera and that nothing
hides in the z-buffer.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from facefactor.camera.projection import depth_from_camera, project_points
from facefactor.light.spherical_harmonics import shade
from facefactor.render.shade import interpolate, rasterise_camera, vertex_normals

MIN_FACING_COSINE = 0.1
"""Vertices seen flatter than this (84°) are left out: their place in the picture says little about their colour."""
HIDDEN_MARGIN_MM = 0.5
"""A vertex farther behind the z-buffer than this and the slope within a pixel is hidden; less than a lid is thick."""


@dataclass(frozen=True, eq=False)
class VertexRendering:
    """What a renderer of vertices sees.

    Attributes:
        positions_px: where each vertex falls in the picture.
        depth_mm: distance along the camera's axis.
        normals_camera: unit vectors in the camera frame.
        colour_linear: lit albedo, linear RGB, not clamped.
        is_visible: in the picture, facing the camera and not hidden; no gradient.
    """

    positions_px: Float[Tensor, "batch vertices 2"]
    depth_mm: Float[Tensor, "batch vertices"]
    normals_camera: Float[Tensor, "batch vertices 3"]
    colour_linear: Float[Tensor, "batch vertices 3"]
    is_visible: Bool[Tensor, "batch vertices"]


def render_vertices(
    vertices_camera: Float[Tensor, "batch vertices 3"],
    albedo_linear: Float[Tensor, "#batch vertices 3"],
    illumination: Float[Tensor, "#batch 9 3"],
    K: Float[Tensor, "*intrinsics 3 3"],
    triangles: Int[Tensor, "faces 3"],
    height: int,
    width: int,
) -> VertexRendering:
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


@torch.no_grad()
def find_visible(
    vertices_camera: Float[Tensor, "batch vertices 3"],
    normals_camera: Float[Tensor, "batch vertices 3"],
    K: Float[Tensor, "*intrinsics 3 3"],
    triangles: Int[Tensor, "faces 3"],
    height: int,
    width: int,
) -> Bool[Tensor, "batch vertices"]:
    """Decide which vertices the camera sees; arguments as in `render_vertices`. No gradient.

    A vertex is hidden when it lies farther than the z-buffer at its pixel by more than a margin and what its own
    surface can slope within one pixel: pixel size × tan(angle between normal and view).
    """
    positions_px, depth_mm = project_points(vertices_camera, K), depth_from_camera(vertices_camera)
    facing_cosine = (normals_camera * -torch.nn.functional.normalize(vertices_camera, dim=-1)).sum(-1)
    inside = ((positions_px >= 0.0) & (positions_px < positions_px.new_tensor([width, height]))).all(-1)

    fragments = rasterise_camera(vertices_camera, K, triangles, height, width)
    column, row = torch.where(inside[..., None], positions_px, torch.zeros_like(positions_px)).long().unbind(-1)
    pixel = row * width + column
    triangle_ids = fragments.triangle_ids.flatten(1).gather(1, pixel)
    barycentrics = fragments.barycentrics.flatten(1, 2).gather(1, pixel[..., None].expand(-1, -1, 3))
    surface_mm = interpolate(depth_mm[..., None], triangle_ids[..., None], barycentrics[:, :, None], triangles)[
        ..., 0, 0
    ]
    nearest_mm = torch.where(triangle_ids >= 0, surface_mm, torch.full_like(surface_mm, torch.inf))

    cosine = facing_cosine.clamp(MIN_FACING_COSINE, 1.0)
    slope = torch.sqrt(1.0 - cosine * cosine) / cosine
    pixel_mm = depth_mm / K[..., 0, 0, None]
    is_hidden = depth_mm > nearest_mm + HIDDEN_MARGIN_MM + pixel_mm * slope
    return inside & (facing_cosine > MIN_FACING_COSINE) & (depth_mm > 0.0) & ~is_hidden


def sample_picture(
    picture: Float[Tensor, "batch height width channels"], positions_px: Float[Tensor, "batch points 2"]
) -> Float[Tensor, "batch points channels"]:
    """Read a picture at places between its pixels, bilinearly, with gradients to both.

    Args:
        picture: any channels, row 0 at the top.
        positions_px: x right and y down, pixel centres at half-integers; beyond the outermost centres the border's
            colour is read, without a gradient to the place.
    """
    height, width = picture.shape[1:3]
    grid = 2.0 * positions_px / positions_px.new_tensor([width, height]) - 1.0
    sampled = torch.nn.functional.grid_sample(
        picture.movedim(-1, 1), grid[:, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled[:, :, 0].mT
