# SPDX-License-Identifier: Apache-2.0
"""Pictures of a posed face: as it looks, its geometry, its shading, its albedo.

    mesh ─rasterise─► triangle and weights at each sub-pixel ─► normal, albedo ─light─► linear colour ─average─► sRGB

Each pixel is drawn as supersample² sub-pixels, lit with its own interpolated normal, clamped to [0, 1] as a display
would, averaged in linear light over what is behind, and only then encoded. Gradients flow to albedo, light and normals,
not to the outline.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from facefactor.light.presets import preset_light
from facefactor.light.spherical_harmonics import shade
from facefactor.render.shade import interpolate, linear_to_srgb, rasterise_camera, srgb_to_linear, vertex_normals

GREY_ALBEDO_LINEAR = 0.6
"""Of the geometry and shading pictures: bright, with headroom for light stronger than one."""


class Picture(NamedTuple):
    """A rendering over its background.

    Attributes:
        srgb: colour in [0, 1].
        coverage: share of each pixel that the mesh covers, [0, 1].
    """

    srgb: Float[Tensor, "batch height width 3"]
    coverage: Float[Tensor, "batch height width"]


def render_picture(
    vertices_camera: Float[Tensor, "batch vertices 3"],
    albedo_linear: Float[Tensor, "#batch vertices 3"],
    illumination: Float[Tensor, "#batch 9 3"],
    K: Float[Tensor, "*intrinsics 3 3"],
    triangles: Int[Tensor, "faces 3"],
    height: int,
    width: int,
    *,
    background_srgb: Float[Tensor, "#batch height width 3"] | None = None,
    supersample: int = 2,
) -> Picture:
    """Render lit faces.

    Args:
        vertices_camera: camera frame, millimetres.
        albedo_linear: linear RGB at the vertices.
        illumination: spherical harmonics in the camera frame.
        K: intrinsics in pixels of the picture, one for all or one for each batch entry.
        triangles: counter-clockwise seen from outside.
        height: of the pictures, pixels.
        width: of the pictures, pixels.
        background_srgb: what is behind; black when left out.
        supersample: sub-pixels along each side of a pixel.

    Raises:
        ValueError: supersample is less than one.
    """
    if supersample < 1:
        raise ValueError(f"supersample must be at least 1, got {supersample}")
    batch, vertices, _ = vertices_camera.shape
    fine_size = (height * supersample, width * supersample)
    fine_K = K * K.new_tensor([supersample, supersample, 1.0])[:, None]
    fragments = rasterise_camera(vertices_camera, fine_K, triangles, *fine_size)

    attributes = torch.cat(
        (vertex_normals(vertices_camera, triangles), albedo_linear.expand(batch, vertices, 3)), dim=-1
    )
    pixels = interpolate(attributes, *fragments, triangles).reshape(batch, -1, 6)
    normals = torch.nn.functional.normalize(pixels[..., :3], dim=-1)
    colour_linear = shade(pixels[..., 3:], normals, illumination).clamp(0.0, 1.0).reshape(batch, *fine_size, 3)

    coverage = _average((fragments.triangle_ids >= 0).to(colour_linear)[..., None], supersample)
    colour_linear = _average(colour_linear, supersample)
    if background_srgb is not None:
        colour_linear = colour_linear + (1.0 - coverage) * srgb_to_linear(background_srgb)
    return Picture(linear_to_srgb(colour_linear), coverage[..., 0])


def render_geometry(
    vertices_camera: Float[Tensor, "batch vertices 3"],
    K: Float[Tensor, "*intrinsics 3 3"],
    triangles: Int[Tensor, "faces 3"],
    height: int,
    width: int,
    *,
    background_srgb: Float[Tensor, "#batch height width 3"] | None = None,
    supersample: int = 2,
) -> Picture:
    """Render the shape alone: grey and matt under the studio light; arguments as in `render_picture`."""
    studio = preset_light("studio").to(vertices_camera)
    return render_shading(
        vertices_camera,
        studio[None],
        K,
        triangles,
        height,
        width,
        background_srgb=background_srgb,
        supersample=supersample,
    )


def render_shading(
    vertices_camera: Float[Tensor, "batch vertices 3"],
    illumination: Float[Tensor, "#batch 9 3"],
    K: Float[Tensor, "*intrinsics 3 3"],
    triangles: Int[Tensor, "faces 3"],
    height: int,
    width: int,
    *,
    background_srgb: Float[Tensor, "#batch height width 3"] | None = None,
    supersample: int = 2,
) -> Picture:
    """Render the light alone, on a grey matt face; arguments as in `render_picture`."""
    grey = torch.full_like(vertices_camera[:1], GREY_ALBEDO_LINEAR)
    return render_picture(
        vertices_camera,
        grey,
        illumination,
        K,
        triangles,
        height,
        width,
        background_srgb=background_srgb,
        supersample=supersample,
    )


def render_albedo(
    vertices_camera: Float[Tensor, "batch vertices 3"],
    albedo_linear: Float[Tensor, "#batch vertices 3"],
    K: Float[Tensor, "*intrinsics 3 3"],
    triangles: Int[Tensor, "faces 3"],
    height: int,
    width: int,
    *,
    background_srgb: Float[Tensor, "#batch height width 3"] | None = None,
    supersample: int = 2,
) -> Picture:
    """Render the albedo alone, which is the face in white light of strength one; arguments as in `render_picture`."""
    white = preset_light("ambient").to(vertices_camera)
    return render_picture(
        vertices_camera,
        albedo_linear,
        white[None],
        K,
        triangles,
        height,
        width,
        background_srgb=background_srgb,
        supersample=supersample,
    )


def _average(
    fine: Float[Tensor, "batch fine_height fine_width channels"], supersample: int
) -> Float[Tensor, "batch height width channels"]:
    """Average the sub-pixels of each pixel."""
    batch, fine_height, fine_width, channels = fine.shape
    rows, columns = fine_height // supersample, fine_width // supersample
    return fine.reshape(batch, rows, supersample, columns, supersample, channels).mean((2, 4))
