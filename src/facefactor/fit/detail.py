# SPDX-License-Identifier: Apache-2.0
"""Carry the photo's own fine detail into a face's albedo: beard, freckles, make-up, the line of the brows (numpy).

The albedo space has 80 components and no single hair. Where the photo shows the skin, the ratio of photo to rendering
in linear light is what the model missed,

    r_v = log(photo_v / colour_v),    albedo'_v = albedo_v · exp(c_v (r_v − smooth(r)_v)),

of which only the detail finer than DETAIL_SCALE_MM is taken: anything wider may be light rather than skin. The trust c
falls where the surface turns away or is hidden, and where the ratio is larger than skin's: strands of hair, frames of
glasses and background are left out. It is used for pictures and textures, never in the code or any reported error.

Between the vertices the photo shows more: `export/photo_texture.py` reads it there, against the same smooth part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facefactor.face.face_graph import FaceGraph
from facefactor.face.model import ALBEDO_RANGE, FaceModel
from facefactor.photo.colour import srgb_to_linear
from facefactor.render.vertex import facing_cosines, render_vertices, sample_picture

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

DETAIL_SCALE_MM = 36.0
"""Detail wider than this is left to light and to the albedo space."""
SKIN_LOG_RATIO, FOREHEAD_LOG_RATIO = 1.1, 0.45
"""Log ratio at which trust is halved: a beard is far from the albedo space, and on the forehead what is far is hair."""
FOREHEAD_MM = (20.0, 30.0)
"""Height above the eyes on the mean head over which the face becomes forehead."""
RATIO_FLOOR = 0.01
"""Linear colour below which ratios are not trusted."""
FACING_RAMP = (0.25, 0.55)
"""Cosines between normal and view at which detail begins to be taken, and is taken fully."""


@dataclass(frozen=True, eq=False)
class SkinDetail:
    """What a photo shows of a face beyond the face model, at the subdivided vertices."""

    log_expected: Float[np.ndarray, "subdivided 3"]
    """Logarithm of the linear colour that the photo would have there without detail: rendering and smooth part."""
    log_fine: Float[np.ndarray, "subdivided 3"]
    """Detail: logarithm of the photo's colour over the expected one; zero off the face."""
    seen: Float[np.ndarray, " subdivided"]
    """[0, 1]: 0 where it is hidden or beyond the photo's border, else the cosine between its normal and the view."""
    trust: Float[np.ndarray, " subdivided"]
    """[0, 1], how far it shows skin of the face there, fading softly."""

    def applied_to(self, albedo_linear: Float[np.ndarray, "subdivided 3"]) -> Float[np.ndarray, "subdivided 3"]:
        """The albedo with the detail that can be trusted, linear RGB."""
        return np.clip(albedo_linear * np.exp(self.trust[:, None] * self.log_fine), *ALBEDO_RANGE).astype(np.float32)


class DetailTransfer:
    """Takes the detail of photos for one face model.

    Args:
        model: the face model; its subdivided mesh carries the detail.
    """

    def __init__(self, model: FaceModel) -> None:
        self._triangles = model.triangles_subdivided
        self._graph = FaceGraph(model)
        height = model.subdivision @ model.mean[:, 1]
        self._skin_log_ratio = np.interp(height, FOREHEAD_MM, (SKIN_LOG_RATIO, FOREHEAD_LOG_RATIO))

    def compare(
        self,
        vertices_camera: Float[np.ndarray, "subdivided 3"],
        albedo_linear: Float[np.ndarray, "subdivided 3"],
        illumination: Float[np.ndarray, "9 3"],
        K: Float[np.ndarray, "3 3"],
        crop_srgb: Float[np.ndarray, "size size 3"],
        coverage: Bool[np.ndarray, "size size"] | None = None,
    ) -> SkinDetail:
        """Find the detail that a photo's crop shows.

        Args:
            vertices_camera: the posed face, millimetres.
            albedo_linear: what the face model says.
            illumination: spherical harmonics in the crop's camera frame.
            K: the crop's intrinsics.
            crop_srgb: the crop that shows the face, [0, 1].
            coverage: which crop pixels the photo covers; all by default.
        """
        view = render_vertices(
            vertices_camera[None], albedo_linear[None], illumination[None], K, self._triangles, *crop_srgb.shape[:2]
        )
        photo_linear = srgb_to_linear(sample_picture(crop_srgb[None], view.positions_px))[0]
        log_rendering = np.log(np.maximum(view.colour_linear[0], RATIO_FLOOR))
        log_ratio = np.log(np.maximum(photo_linear, RATIO_FLOOR)) - log_rendering
        cosine = facing_cosines(vertices_camera, view.normals_camera[0])
        seen = np.where(view.is_visible[0], cosine, 0.0)
        if coverage is not None:
            seen = seen * sample_picture(coverage[None, :, :, None].astype(np.float32), view.positions_px)[0, :, 0]
        like_skin = 1 / (1 + (log_ratio.mean(axis=-1) / self._skin_log_ratio) ** 4)
        trust = self._graph.feather(np.interp(seen, FACING_RAMP, (0, 1)) * self._graph.in_face * like_skin)
        log_smooth = self._graph.smooth(log_ratio, trust, DETAIL_SCALE_MM)
        log_fine = np.where(self._graph.in_face[:, None], log_ratio - log_smooth, 0.0)
        return SkinDetail(log_rendering + log_smooth, log_fine, seen, trust)
