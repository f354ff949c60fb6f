# SPDX-License-Identifier: Apache-2.0
"""What a photo shows of a face beyond its code: beard, brows, glasses, make-up, gloss, as a change of albedo (numpy).

Place in the flow: `bred_faces.py` takes the detail of a photo where the code that was seen says the face is, and draws
it on the face that is bred from it, at its new place, under its new light. Bred faces then look as photos do, not as
renderings do, and the network learns from what it will see.

    r_v = log(photo_v / drawn_v),    albedo'_v = albedo_v · exp(c_v (r_v − smooth(r)_v))

The smooth part of the skin stays with the code: its tone and light must be those that the code says. Eyes, teeth and
what is behind them have no tone in the code and are taken as they are, but for the skin's mean ratio. Unlike
`fit/detail.py`, which carries skin alone and solves for the smooth part, this takes whatever is before the face, and
averages over neighbours.
The trust c falls to nothing where the surface turns away, is hidden, or is no longer the narrow face.
"""

import numpy as np
from scipy import sparse

from facefactor.camera.projection import project_points
from facefactor.face.adjacency import neighbour_average, triangle_edges
from facefactor.face.model import FaceModel
from facefactor.photo.colour import srgb_to_linear
from facefactor.render.vertex import VertexRendering, facing_cosines, render_vertices, sample_picture

SMOOTHING_STEPS = 16
"""Rounds of averaging over the native mesh's neighbours that make the smooth part, about 20 mm wide either way."""
FEATHER_STEPS = 3
"""Rounds that soften the border of what is trusted."""
FACING_RAMP = (0.2, 0.45)
"""Cosines between normal and view at which detail begins to be taken, and is taken fully."""
COLOUR_FLOOR = 0.01
"""Linear, added to both colours, so that ratios of the dark stay small."""
LARGEST_LOG_RATIO = 2.5


class PhotoDetail:
    """Takes the detail of photos for one face model.

    Args:
        model: the face model.
        refinement: matrix from native to drawn vertices, of which the native ones are the first.
        cover: (vertices,) in [0, 1], how far each drawn vertex belongs to what is drawn over photos.
        is_skin: (vertices,) which of them the face model gives an albedo; eyes and mouth keep all of the ratio.
    """

    def __init__(self, model: FaceModel, refinement: sparse.csr_matrix, cover: np.ndarray, is_skin: np.ndarray) -> None:
        self._triangles, self._count = model.triangles, model.num_vertices
        self._average = neighbour_average(triangle_edges(model.triangles), model.num_vertices)
        self._refinement, self._cover, self._is_skin = refinement, cover[: self._count], is_skin[: self._count]

    def take(
        self,
        vertices_camera: np.ndarray,
        albedo_linear: np.ndarray,
        illumination: np.ndarray,
        K: np.ndarray,
        photo_srgb: np.ndarray,
    ) -> np.ndarray:
        """Logarithm of the change of albedo at the drawn vertices, (vertices, 3).

        Args:
            vertices_camera: (vertices, 3) of the face that was seen, millimetres.
            albedo_linear: (vertices, 3), dimmed where the drawing dims it.
            illumination: (9, 3) spherical harmonics, camera frame.
            K: (3, 3) intrinsics of the photo.
            photo_srgb: (height, width, 3) uint8.
        """
        native, white = vertices_camera[None, : self._count], np.ones((1, 1, 3))
        view = render_vertices(native, white, illumination[None], K, self._triangles, *photo_srgb.shape[:2])
        trust = self._trust(native[0], view)
        irradiance = np.maximum(self._refinement @ view.colour_linear[0], 0.0)
        positions_px = project_points(vertices_camera[None], K)
        seen_srgb = sample_picture(photo_srgb[None].astype(np.float32) / 255.0, positions_px)[0]
        ratio = np.log((srgb_to_linear(seen_srgb) + COLOUR_FLOOR) / (albedo_linear * irradiance + COLOUR_FLOOR))
        ratio = np.clip(ratio, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
        fine = ratio - self._refinement @ self._smooth(ratio[: self._count], trust[:, None])
        return ((self._refinement @ trust)[:, None] * fine).astype(np.float32)

    def _trust(self, vertices_camera: np.ndarray, view: VertexRendering[np.ndarray]) -> np.ndarray:
        """(native,) in [0, 1]: seen, turned to the camera, part of what is drawn; with a soft border."""
        begin, full = FACING_RAMP
        facing = np.clip((facing_cosines(vertices_camera, view.normals_camera[0]) - begin) / (full - begin), 0.0, 1.0)
        trust = soft = facing * view.is_visible[0] * self._cover
        for _ in range(FEATHER_STEPS):
            soft = np.minimum(self._average @ soft, trust)
        return soft

    def _smooth(self, ratio: np.ndarray, trust: np.ndarray) -> np.ndarray:
        """(native, 3) trusted ratios, on the skin averaged over the neighbourhood, elsewhere over all skin."""
        trust = trust * self._is_skin[:, None]
        smooth = np.concatenate((ratio, np.ones_like(trust)), axis=1) * trust
        overall = smooth.sum(axis=0)
        for _ in range(SMOOTHING_STEPS):
            smooth = self._average @ smooth
        smooth = np.where(self._is_skin[:, None], smooth, overall)
        return smooth[:, :3] / (smooth[:, 3:] + 1e-6)
