# SPDX-License-Identifier: Apache-2.0
"""The pictures that explain one reconstructed face: over its photo, its parts, and under other lights (numpy).

Place in the flow: a face code in a crop's camera → vertices and albedo → these pictures → `export/row.py`. All are
seen by the crop's camera, so that they lie over each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facefactor.light.presets import preset_light
from facefactor.render.picture import View

if TYPE_CHECKING:
    from jaxtyping import Float, Int

RELIT_PRESETS = ("left", "right", "sunset")
BACKGROUND_SRGB = 0.16
"""Behind heads that are not drawn over the photo: dark, so that bright and dark skin both stand out."""


@dataclass(frozen=True, eq=False)
class PosedFace:
    """One face before the crop's camera."""

    vertices_camera: Float[np.ndarray, "vertices 3"]
    """Millimetres."""
    albedo_linear: Float[np.ndarray, "vertices 3"]
    illumination: Float[np.ndarray, "9 3"]
    """Spherical harmonics in the crop's camera frame."""
    triangles: Int[np.ndarray, "faces 3"]
    """The whole head."""
    opacity: Float[np.ndarray, " vertices"]
    """Of each vertex over the photo, [0, 1]: 1 on face, eyes and mouth, fading to 0 towards scalp, ears and neck."""


def render_views(
    face: PosedFace, K: Float[np.ndarray, "3 3"], crop_srgb: Float[np.ndarray, "size size 3"]
) -> list[Float[np.ndarray, "size size 3"]]:
    """Draw the face over the crop, its geometry, albedo and shading, and the head under `RELIT_PRESETS`.

    Args:
        face: what to draw.
        K: the crop's intrinsics.
        crop_srgb: [0, 1].

    Returns:
        Four pictures and one for each preset, sRGB in [0, 1].
    """
    size = crop_srgb.shape[0]
    view = View(face.vertices_camera, K, face.triangles, size, size)
    plain = np.full_like(crop_srgb, BACKGROUND_SRGB)
    overlay = view.picture(face.albedo_linear, face.illumination, crop_srgb)
    # The picture already blends with the photo where the head covers a part of a pixel.
    overlay = crop_srgb + view.blend(face.opacity[:, None]) * (overlay - crop_srgb)
    relit = [view.picture(face.albedo_linear, preset_light(name), plain) for name in RELIT_PRESETS]
    return [
        overlay,
        view.geometry(plain),
        view.albedo(face.albedo_linear, plain),
        view.shading(face.illumination, plain),
        *relit,
    ]
