# SPDX-License-Identifier: Apache-2.0
"""Draw people's faces over the frames of their clip, fading out towards scalp, ears and neck.

The native mesh, of which only the face is decoded and drawn, with a colour at each vertex: of the parts of `render/`
what a picture every few milliseconds asks for. `render/views.py` draws the same picture with finer means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import depth_from_camera, project_points
from facefactor.face.albedo import subdivided_albedo
from facefactor.face.fade import face_opacity
from facefactor.face.linear_bases import LinearBases, linear_weights
from facefactor.face.model import FaceModel
from facefactor.face.normals import vertex_normals
from facefactor.light.spherical_harmonics import shade
from facefactor.photo.colour import linear_to_srgb
from facefactor.render.rasterise import rasterise
from facefactor.video.rows import ClipFaces

if TYPE_CHECKING:
    from jaxtyping import UInt8

ROWS_AT_A_TIME = 32
"""Faces that are decoded together."""


class FaceOverlay:
    """Draws the faces of a clip over its frames, which come in order.

    Args:
        model: of the codes.
        faces: of the clip.
    """

    def __init__(self, model: FaceModel, faces: ClipFaces) -> None:
        opacity = face_opacity(model)
        drawn = model.triangles[(opacity[model.triangles] > 0.0).any(axis=1)]
        kept, self._triangles = np.unique(drawn, return_inverse=True)
        self._triangles = self._triangles.reshape(drawn.shape).astype(np.int32)
        self._surface = LinearBases.of(model, lambda values: values[kept])
        self._opacity = opacity[kept]
        self._albedo = {
            person: subdivided_albedo(model, faces.code[faces.people == person][0].full_reflectance)[kept]
            for person in np.unique(faces.people)
        }
        self._faces = faces
        self._decoded: tuple[slice, np.ndarray] = (slice(0, 0), np.empty(0))

    def draw(self, picture_srgb: UInt8[np.ndarray, "height width 3"], frame: int) -> None:
        """Draw the faces of a frame over its picture, in place; the farthest first."""
        rows = np.arange(*np.searchsorted(self._faces.frames, [frame, frame + 1]))
        for row in sorted(rows, key=lambda row: self._faces.code.translation[row, 2]):
            self._draw_row(picture_srgb, int(row))

    def _draw_row(self, picture_srgb: np.ndarray, row: int) -> None:
        code = self._faces.code[row]
        R = matrix_from_axis_angle(code.rotation)
        vertices_camera = move_to_camera(self._vertices(row), R, code.translation).astype(np.float32)
        normals: np.ndarray = vertex_normals(vertices_camera, self._triangles)
        lit_linear: np.ndarray = shade(self._albedo[self._faces.people[row]], normals, code.illumination)
        colours = 255.0 * linear_to_srgb(lit_linear.clip(0.0, 1.0)).astype(np.float32)
        _lay_over(picture_srgb, vertices_camera, self._faces.K, self._triangles, colours, self._opacity)

    def _vertices(self, row: int) -> np.ndarray:
        """The head-frame vertices of a row, decoded together with its neighbours'."""
        rows, vertices = self._decoded
        if not rows.start <= row < rows.stop:
            start = row - row % ROWS_AT_A_TIME
            rows = slice(start, start + ROWS_AT_A_TIME)
            code = self._faces.code[rows]
            vertices = self._surface.points(*linear_weights(code.full_shape, code.expression))
            self._decoded = rows, vertices
        return vertices[row - rows.start]


def _lay_over(
    picture_srgb: np.ndarray,
    vertices_camera: np.ndarray,
    K: np.ndarray,
    triangles: np.ndarray,
    colours: np.ndarray,
    opacity: np.ndarray,
) -> None:
    """Rasterise the part of the picture that the mesh covers, and blend."""
    from facefactor.video.overlay_kernel import blend_over  # imports numba, which takes 0.3 s

    positions_px, depth_mm = project_points(vertices_camera, K), depth_from_camera(vertices_camera)
    size = np.array(picture_srgb.shape[1::-1])
    low = np.clip(np.floor(positions_px.min(axis=0)), 0, size).astype(int)
    high = np.clip(np.ceil(positions_px.max(axis=0)), 0, size).astype(int)
    width, height = high - low
    if width < 1 or height < 1:
        return
    (ids,), (weights,) = rasterise((positions_px - low)[None], depth_mm[None], triangles, height, width, num_threads=1)
    blend_over(picture_srgb[low[1] : high[1], low[0] : high[0]], ids, weights, triangles, colours, opacity)
