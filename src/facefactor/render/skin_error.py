# SPDX-License-Identifier: Apache-2.0
"""How far a face's colours are from its photo's: the photometric error that is reported, whatever the engine (numpy).

The mean distance of sRGB-encoded colours over the visible skin of the face, every vertex counted by the pixels it
stands for. What a fit minimises differs: it compares the eyes too and leaves out what the face model cannot explain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facefactor.camera.projection import project_points
from facefactor.face.model import FaceModel
from facefactor.face.normals import vertex_normals
from facefactor.light.spherical_harmonics import ambient_light, shade
from facefactor.losses.photometric import colour_distance, photometric_loss, projected_areas
from facefactor.photo.colour import linear_to_srgb
from facefactor.render.vertex import facing_cosines, find_visible, sample_picture

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

LEAST_FACING = 0.2
"""Cosine between normal and view below which a vertex is not compared: its colour blends with what is behind."""
WHITE_STRENGTHS_TRIED = tuple(np.linspace(0.05, 2.5, 50).tolist())
"""Of the baseline's light."""


@dataclass(frozen=True, eq=False)
class VisibleSkin:
    """The skin of one face that its crop shows."""

    vertex_ids: np.ndarray
    """(N,) native vertices of the face's skin that are seen."""
    photo_srgb: Float[np.ndarray, "points 3"]
    """What the crop shows there."""
    normals_camera: Float[np.ndarray, "points 3"]
    pixels: Float[np.ndarray, " points"]
    """How many pixels each stands for."""

    @classmethod
    def of(
        cls,
        model: FaceModel,
        vertices_camera: Float[np.ndarray, "vertices 3"],
        K: Float[np.ndarray, "3 3"],
        crop_srgb: Float[np.ndarray, "size size 3"],
        coverage: Bool[np.ndarray, "size size"] | None = None,
    ) -> VisibleSkin:
        """Find it.

        Args:
            model: the face model.
            vertices_camera: its native vertices before the crop's camera, millimetres.
            K: the crop's intrinsics.
            crop_srgb: the crop, [0, 1].
            coverage: which crop pixels the photo covers; all by default.
        """
        batch = vertices_camera[None]
        normals = vertex_normals(batch, model.triangles)
        positions_px = project_points(batch, K)
        is_seen = find_visible(batch, normals, K, model.triangles, *crop_srgb.shape[:2])[0]
        is_seen &= facing_cosines(batch, normals)[0] > LEAST_FACING
        ids = model.regions["face"][is_seen[model.regions["face"]]]
        pixels = projected_areas(positions_px, model.triangles)[0, ids]
        places_px = positions_px[:, ids]
        if coverage is not None:
            pixels = pixels * sample_picture(coverage[None, :, :, None].astype(np.float32), places_px)[0, :, 0]
        return cls(ids, sample_picture(crop_srgb[None], places_px)[0], normals[0, ids], pixels)

    def error(self, albedo_linear: Float[np.ndarray, "vertices 3"], illumination: Float[np.ndarray, "9 3"]) -> float:
        """Mean colour distance, sRGB units of [0, 1]; zero where no skin is seen.

        Args:
            albedo_linear: at the native vertices.
            illumination: spherical harmonics in the crop's camera frame.
        """
        return self._error(shade(albedo_linear[self.vertex_ids], self.normals_camera, illumination))

    def baseline_error(self, albedo_linear: Float[np.ndarray, "vertices 3"]) -> float:
        """The same under the constant white light that makes it least; the baseline is that of the mean albedo."""
        colour_linear = shade(albedo_linear[self.vertex_ids], self.normals_camera, ambient_light(np.ones(3)))
        return min(self._error(strength * colour_linear) for strength in WHITE_STRENGTHS_TRIED)

    def _error(self, colour_linear: np.ndarray) -> float:
        distance = colour_distance(self.photo_srgb, linear_to_srgb(np.clip(colour_linear, 0.0, 1.0)))
        return float(photometric_loss(distance, self.pixels))
