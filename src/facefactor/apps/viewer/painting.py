# SPDX-License-Identifier: Apache-2.0
"""A viewer's state to what is seen: a mesh whose vertices carry their final colour, or a picture of it (numpy).

    state ─► surface, normals ─┐
          └► albedo, light ────┴─shade, clamp─► colour at the vertices ─(over the photo: fade into it)─► PaintedMesh

The colours are those of `render/picture.py`, vertex by vertex, so that the page, which draws them unlit, and the PNG
agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facefactor.apps.viewer.head import Head
from facefactor.apps.viewer.state import Layer, ViewerState
from facefactor.apps.viewer.subject import picture_frame
from facefactor.camera.projection import project_points
from facefactor.face.normals import vertex_normals
from facefactor.light.presets import preset_light
from facefactor.light.spherical_harmonics import shade
from facefactor.photo.colour import srgb_to_linear
from facefactor.render.picture import GREY_ALBEDO_LINEAR, View
from facefactor.render.vertex import sample_picture
from facefactor.render.views import BACKGROUND_SRGB


@dataclass(frozen=True, eq=False)
class PaintedMesh:
    """A surface with its final colours."""

    vertices_camera: np.ndarray
    """(S, 3) millimetres."""
    triangles: np.ndarray
    """(F, 3), counter-clockwise seen from outside."""
    colours_linear: np.ndarray
    """(S, 3) linear RGB in [0, 1], light included."""


def paint(head: Head, state: ViewerState) -> PaintedMesh:
    """Give the head, or the face alone when it lies over its photo, its colours."""
    surface = head.surface_camera(state.code)
    albedo, light = _albedo_and_light(head, state)
    colours = np.clip(shade(albedo, vertex_normals(surface, head.triangles), light), 0.0, 1.0)
    photo = state.photo_behind
    if photo is None:
        return PaintedMesh(surface, head.triangles, colours)
    K, _, _ = picture_frame(state.subject.record)
    behind = srgb_to_linear(sample_picture(photo[None], project_points(surface, K)[None])[0])
    opacity = head.opacity[:, None]
    shown = head.triangles[(head.opacity[head.triangles] > 0.0).any(axis=1)]
    return PaintedMesh(surface, shown, np.clip(behind + opacity * (colours - behind), 0.0, 1.0))


def draw_picture(head: Head, state: ViewerState) -> np.ndarray:
    """Draw the state as the photo's camera sees it: (height, width, 3) float32 sRGB, as large as `picture_frame`."""
    K, height, width = picture_frame(state.subject.record)
    view = View(head.surface_camera(state.code), K, head.triangles, height, width)
    albedo, light = _albedo_and_light(head, state)
    photo = state.photo_behind
    if photo is None:
        return view.picture(albedo, light, np.full((height, width, 3), BACKGROUND_SRGB, dtype=np.float32))
    picture = view.picture(albedo, light, photo)
    return photo + view.blend(head.opacity[:, None]) * (picture - photo)


def detailed_albedo(head: Head, state: ViewerState) -> np.ndarray:
    """(S, 3) linear albedo with the photo's own detail, in [0, 1]."""
    return np.clip(head.albedo(state.code) * state.subject.detail, 0.0, 1.0)


def _albedo_and_light(head: Head, state: ViewerState) -> tuple[np.ndarray, np.ndarray]:
    """What is lit by what, for the layer shown: (S, 3) or (1, 3) linear albedo, (9, 3) light."""
    grey = np.full((1, 3), GREY_ALBEDO_LINEAR, dtype=np.float32)
    match state.layer:
        case Layer.LIT:
            return detailed_albedo(head, state), state.code.illumination
        case Layer.ALBEDO:
            return detailed_albedo(head, state), preset_light("ambient").astype(np.float32)
        case Layer.GEOMETRY:
            return grey, preset_light("studio").astype(np.float32)
        case Layer.SHADING:
            return grey, state.code.illumination
