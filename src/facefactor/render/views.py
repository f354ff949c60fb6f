# SPDX-License-Identifier: Apache-2.0
"""The pictures that explain one reconstructed face: over its photo, its parts, and under other lights (torch).

Place in the flow: a face code in a crop's camera → vertices and albedo → these pictures → `export/row.py`. All are
seen by the crop's camera, so that they lie over each other.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from facefactor.light.presets import preset_light
from facefactor.render.picture import render_albedo, render_geometry, render_picture, render_shading
from facefactor.render.shade import srgb_to_linear

RELIT_PRESETS = ("left", "right", "sunset")
BACKGROUND_SRGB = 0.16
"""Behind heads that are not drawn over the photo: dark, so that bright and dark skin both stand out."""


@dataclass(frozen=True)
class PosedFace:
    """One face before the crop's camera."""

    vertices_camera: Float[Tensor, "vertices 3"]
    """Millimetres."""
    albedo_linear: Float[Tensor, "vertices 3"]
    illumination: Float[Tensor, "9 3"]
    """Spherical harmonics in the crop's camera frame."""
    triangles: Int[Tensor, "faces 3"]
    """The whole head."""
    opacity: Float[Tensor, " vertices"]
    """Of each vertex over the photo, [0, 1]: 1 on face, eyes and mouth, fading to 0 towards scalp, ears and neck."""


@torch.no_grad()
def render_views(
    face: PosedFace, K: Float[Tensor, "3 3"], crop_srgb: Float[Tensor, "size size 3"]
) -> list[Float[Tensor, "size size 3"]]:
    """Draw the face over the crop, its geometry, albedo and shading, and the head under `RELIT_PRESETS`.

    Args:
        face: what to draw.
        K: the crop's intrinsics.
        crop_srgb: [0, 1].

    Returns:
        Four pictures and one for each preset, sRGB in [0, 1].
    """
    size = crop_srgb.shape[0]
    vertices, albedo, light = face.vertices_camera[None], face.albedo_linear[None], face.illumination[None]
    head = (K, face.triangles, size, size)
    plain = torch.full_like(crop_srgb, BACKGROUND_SRGB)[None]
    parts = [
        render_geometry(vertices, *head, background_srgb=plain),
        render_albedo(vertices, albedo, *head, background_srgb=plain),
        render_shading(vertices, light, *head, background_srgb=plain),
    ]
    for name in RELIT_PRESETS:
        preset = preset_light(name).to(vertices)[None]
        parts.append(render_picture(vertices, albedo, preset, *head, background_srgb=plain))
    return [_overlay(face, K, crop_srgb), *(part.srgb[0] for part in parts)]


def _overlay(
    face: PosedFace, K: Float[Tensor, "3 3"], crop_srgb: Float[Tensor, "size size 3"]
) -> Float[Tensor, "size size 3"]:
    """The lit face over the crop, blended by the opacity of its vertices."""
    size = crop_srgb.shape[0]
    vertices, light, photo = face.vertices_camera[None], face.illumination[None], crop_srgb[None]
    view = (K, face.triangles, size, size)
    drawn = render_picture(vertices, face.albedo_linear[None], light, *view, background_srgb=photo).srgb[0]
    mask = face.opacity[None, :, None].expand(-1, -1, 3)
    veil = render_albedo(vertices, mask, *view)
    # `drawn` already blends with the photo where the head covers a part of a pixel, so the veil is taken of that part.
    opacity = srgb_to_linear(veil.srgb[0]) / veil.coverage[0, :, :, None].clamp_min(1e-3)
    return crop_srgb + opacity.clamp(0, 1) * (drawn - crop_srgb)
