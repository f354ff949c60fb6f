# SPDX-License-Identifier: Apache-2.0
"""Carry the photo's own fine detail into a face's albedo: beard, freckles, make-up, the line of the brows (numpy).

The albedo space has 80 components and no single hair. Where the photo shows the skin, the ratio of photo to rendering
in linear light is what the model missed,

    r_v = log(photo_v / colour_v),    albedo'_v = albedo_v · exp(c_v (r_v − smooth(r)_v)),

of which only the detail finer than DETAIL_SCALE_MM is taken: anything wider may be light rather than skin. The trust c
falls where the surface turns away or is hidden, and where the ratio is larger than skin's: strands of hair, frames of
glasses and background are left out. It is used for pictures and textures, never in the code or any reported error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import factorized

from facefactor.face.adjacency import graph_laplacian, neighbour_average, triangle_edges, triangles_within
from facefactor.face.model import ALBEDO_RANGE, FaceModel
from facefactor.photo.colour import srgb_to_linear
from facefactor.render.vertex import VertexRendering, facing_cosines, render_vertices, sample_picture

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
FEATHER_STEPS = 6
"""Rounds of averaging with neighbours that soften the border of where detail is taken."""


class DetailTransfer:
    """Takes the detail of photos for one face model.

    Args:
        model: the face model; its subdivided mesh carries the detail.
    """

    def __init__(self, model: FaceModel) -> None:
        self._triangles = model.triangles_subdivided
        in_face = np.zeros(model.num_vertices, dtype=np.float32)
        in_face[model.regions["face"]] = 1
        self._in_face = (model.subdivision @ in_face) > 0.999
        height = model.subdivision @ model.mean[:, 1]
        self._skin_log_ratio = np.interp(height, FOREHEAD_MM, (SKIN_LOG_RATIO, FOREHEAD_LOG_RATIO))
        self._average = neighbour_average(triangle_edges(model.triangles_subdivided), model.num_subdivided)
        within = triangles_within(model.triangles_subdivided, np.flatnonzero(self._in_face))
        number = np.cumsum(self._in_face) - 1
        self._face_laplacian = graph_laplacian(triangle_edges(number[within]), int(self._in_face.sum()))
        self._edge_mm = _edge_length(model)

    def albedo(
        self,
        vertices_camera: Float[np.ndarray, "subdivided 3"],
        albedo_linear: Float[np.ndarray, "subdivided 3"],
        illumination: Float[np.ndarray, "9 3"],
        K: Float[np.ndarray, "3 3"],
        crop_srgb: Float[np.ndarray, "size size 3"],
        coverage: Bool[np.ndarray, "size size"] | None = None,
    ) -> Float[np.ndarray, "subdivided 3"]:
        """Albedo of a face with the photo's detail, linear RGB at the subdivided vertices.

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
        photo_linear = srgb_to_linear(sample_picture(crop_srgb[None], view.positions_px))
        ratio = np.log(np.maximum(photo_linear, RATIO_FLOOR) / np.maximum(view.colour_linear, RATIO_FLOOR))[0]
        trust = self._trust(vertices_camera, view, ratio)
        if coverage is not None:
            trust = trust * sample_picture(coverage[None, :, :, None].astype(np.float32), view.positions_px)[0, :, 0]
        detail = trust[:, None] * self._fine_part(ratio, trust)
        return np.clip(albedo_linear * np.exp(detail), *ALBEDO_RANGE).astype(np.float32)

    def _trust(self, vertices: np.ndarray, view: VertexRendering[np.ndarray], ratio: np.ndarray) -> np.ndarray:
        """(S,) in [0, 1]: seen, turned to the camera, inside the face, coloured like skin; with a soft border."""
        cosine = facing_cosines(vertices, view.normals_camera[0])
        begin, full = FACING_RAMP
        facing = np.clip((cosine - begin) / (full - begin), 0, 1)
        like_skin = 1 / (1 + (ratio.mean(axis=-1) / self._skin_log_ratio) ** 4)
        trust = facing * view.is_visible[0] * self._in_face * like_skin
        soft = trust
        for _ in range(FEATHER_STEPS):
            soft = np.minimum(self._average @ soft, trust)
        return soft

    def _fine_part(self, ratio: np.ndarray, trust: np.ndarray) -> np.ndarray:
        """The ratio less its smooth part, (diag(trust) + (scale/edge)² Δ) s = trust · ratio; zero off the face."""
        ratio_face, trust_face = ratio[self._in_face], trust[self._in_face, None]
        stiffness = (DETAIL_SCALE_MM / self._edge_mm / (2 * np.pi)) ** 2
        system = sparse.diags(trust_face[:, 0] + 1e-4) + stiffness * self._face_laplacian
        fine = np.zeros_like(ratio)
        fine[self._in_face] = ratio_face - factorized(system.tocsc())(trust_face * ratio_face)
        return fine


def _edge_length(model: FaceModel) -> float:
    """Median length of the face's edges on the subdivided mesh, mm."""
    sides = triangles_within(model.triangles, model.regions["face"])[:, :2]
    return 0.5 * float(np.median(np.linalg.norm(model.mean[sides[:, 0]] - model.mean[sides[:, 1]], axis=1)))
