# SPDX-License-Identifier: Apache-2.0
"""Pictures of a posed face: as it looks, its geometry, its shading, its albedo (numpy).

    mesh ─rasterise─► triangle and weights at each sub-pixel ─► normal, albedo ─light─► linear colour ─average─► sRGB

Each pixel is drawn as supersample² sub-pixels, lit with its own interpolated normal, clamped to [0, 1] as a display
would, averaged in linear light over what is behind, and only then encoded. All pictures of one view share its
rasterisation. Gradients are the vertex renderer's business (`vertex.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facefactor.arrays import sum_at, unit_vectors
from facefactor.face.normals import vertex_normals
from facefactor.light.presets import preset_light
from facefactor.light.spherical_harmonics import shade
from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.render.fragments import blend_corners, rasterise_camera

if TYPE_CHECKING:
    from jaxtyping import Float, Int

GREY_ALBEDO_LINEAR = 0.6
"""Of the geometry and shading pictures: bright, with headroom for light stronger than one."""


class View:
    """A posed mesh as one camera sees it, to be drawn in any colours and lights.

    Pictures are (height, width, 3) float32 sRGB in [0, 1], over `background_srgb` of the same size, black by default.

    Args:
        vertices_camera: camera frame, millimetres.
        K: intrinsics in pixels of the pictures.
        triangles: counter-clockwise seen from outside.
        height: of the pictures, pixels.
        width: of the pictures, pixels.
        supersample: sub-pixels along each side of a pixel.

    Raises:
        ValueError: supersample is less than one.
    """

    coverage: Float[np.ndarray, "height width"]
    """Share of each pixel that the mesh covers, [0, 1]."""

    def __init__(
        self,
        vertices_camera: Float[np.ndarray, "vertices 3"],
        K: Float[np.ndarray, "3 3"],
        triangles: Int[np.ndarray, "faces 3"],
        height: int,
        width: int,
        supersample: int = 2,
    ) -> None:
        if supersample < 1:
            raise ValueError(f"supersample must be at least 1, got {supersample}")
        fine_K = K * np.array([supersample, supersample, 1.0])[:, None]
        fine_size = (height * supersample, width * supersample)
        (ids,), (weights,) = rasterise_camera(vertices_camera[None], fine_K, triangles, *fine_size)
        rows, columns = np.nonzero(ids >= 0)
        self._size, self._per_pixel = (height, width), supersample**2
        self._pixels = rows // supersample * width + columns // supersample
        self._corners, self._weights = triangles[ids[rows, columns]], weights[rows, columns]
        self._normals = unit_vectors(self._at_sub_pixels(vertex_normals(vertices_camera, triangles)))
        self.coverage = self._average(np.ones((len(rows), 1), dtype=np.float32))[..., 0]

    def picture(
        self,
        albedo_linear: Float[np.ndarray, "#vertices 3"],
        illumination: Float[np.ndarray, "9 3"],
        background_srgb: Float[np.ndarray, "height width 3"] | None = None,
    ) -> Float[np.ndarray, "height width 3"]:
        """Draw the mesh in its colours, lit.

        Args:
            albedo_linear: linear RGB at the vertices, or one colour for all.
            illumination: spherical harmonics in the camera frame.
            background_srgb: what is behind.
        """
        albedo = self._at_sub_pixels(albedo_linear) if len(albedo_linear) > 1 else albedo_linear
        lit = shade(albedo.astype(np.float32), self._normals, illumination.astype(np.float32))
        colour_linear = self._average(np.clip(lit, 0.0, 1.0))
        if background_srgb is not None:
            colour_linear += (1.0 - self.coverage[..., None]) * srgb_to_linear(background_srgb.astype(np.float32))
        return linear_to_srgb(colour_linear)

    def geometry(
        self, background_srgb: Float[np.ndarray, "height width 3"] | None = None
    ) -> Float[np.ndarray, "height width 3"]:
        """Draw the shape alone: grey and matt under the studio light."""
        return self.shading(preset_light("studio"), background_srgb)

    def shading(
        self,
        illumination: Float[np.ndarray, "9 3"],
        background_srgb: Float[np.ndarray, "height width 3"] | None = None,
    ) -> Float[np.ndarray, "height width 3"]:
        """Draw the light alone, on a grey matt face."""
        return self.picture(np.full((1, 3), GREY_ALBEDO_LINEAR), illumination, background_srgb)

    def albedo(
        self,
        albedo_linear: Float[np.ndarray, "vertices 3"],
        background_srgb: Float[np.ndarray, "height width 3"] | None = None,
    ) -> Float[np.ndarray, "height width 3"]:
        """Draw the albedo alone, which is the face in white light of strength one."""
        return self.picture(albedo_linear, preset_light("ambient"), background_srgb)

    def blend(self, values: Float[np.ndarray, "vertices channels"]) -> Float[np.ndarray, "height width channels"]:
        """Average any values at the vertices over the part of each pixel that the mesh covers; zero where none is."""
        return self._average(self._at_sub_pixels(values)) / np.maximum(self.coverage[..., None], 1.0 / self._per_pixel)

    def _at_sub_pixels(self, values: np.ndarray) -> np.ndarray:
        return blend_corners(values, self._corners, self._weights)

    def _average(self, sub_pixels: np.ndarray) -> np.ndarray:
        """Sum the covered sub-pixels of each pixel, and divide by the number of all: (height, width, channels)."""
        sums = sum_at(sub_pixels, self._pixels, self._size[0] * self._size[1])
        return (sums / self._per_pixel).reshape(*self._size, -1)
