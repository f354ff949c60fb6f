# SPDX-License-Identifier: Apache-2.0
"""What edits need to know of a face model's surface: its parts, how they fade, and what light reaches them (numpy)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import factorized

from facefactor.edit.posed_head import PosedHead
from facefactor.face.adjacency import graph_laplacian, triangle_edges
from facefactor.face.fade import face_opacity
from facefactor.face.model import FaceModel
from facefactor.face.normals import vertex_normals
from facefactor.light.spherical_harmonics import irradiance_over_pi

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

SHADING_STIFFNESS = 6.0
"""Smooths irradiance over about two edges of the mesh, 5 mm: creases are never quite where the photo has them."""
NECK_FADE_MM = (-150.0, -105.0)
"""Heights of the mean head, from the eyes, over which the relit part fades in above the neck's end."""
INNER_PARTS = (
    ("mouth_lining", "teeth", "tongue"),
    ("left_eye", "left_socket", "left_lid_margin"),
    ("right_eye", "right_socket", "right_lid_margin"),
)
"""Regions that lie within the face, where light comes through an opening."""
MOUTH_LIGHT, MOUTH_DEPTH_MM = 0.8, 16.0
"""Share of it that reaches the mouth's front, and how far behind that an e-th of it is left: no shadow is cast."""
MOUTH_SIDE_LIGHT = 0.5
"""Of it, what reaches a place in the mouth that does not face outwards."""
AROUND_SHARE = 0.12
"""Of the outer skin, nearest to such a part: what is as bright as it."""


@dataclass(frozen=True, eq=False)
class HeadSurface:
    """What compositing needs to know of a face model: found once."""

    triangles: Int[np.ndarray, "faces 3"]
    face_opacity: Float[np.ndarray, " subdivided"]
    """1 on face, eyes and mouth, fading to 0 towards scalp, ears and neck."""
    head_opacity: Float[np.ndarray, " subdivided"]
    """1 on the whole head, fading to 0 down the neck."""
    is_skin: Bool[np.ndarray, " subdivided"]
    inner_parts: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Mouth and eyes: the ids of their vertices, and of the skin around."""
    laplacian: sparse.csr_matrix
    """Of the mesh's graph, (S, S)."""
    smooth: Callable[[np.ndarray], np.ndarray]
    """Smooths values (S, C) over the surface."""

    @classmethod
    def of(cls, model: FaceModel) -> HeadSurface:
        """Find them for a model."""
        places = model.subdivision @ model.mean
        skin, outside = (_is_within(model, (name,)) for name in ("skin", "outer_skin"))
        inner_parts = []
        for names in INNER_PARTS:
            inside = _is_within(model, names)
            distance = np.linalg.norm(places - places[inside].mean(axis=0), axis=1)
            around = outside & ~inside & (distance < np.quantile(distance[outside & ~inside], AROUND_SHARE))
            inner_parts.append((np.flatnonzero(inside), np.flatnonzero(around)))
        laplacian = graph_laplacian(triangle_edges(model.triangles_subdivided), model.num_subdivided)
        return HeadSurface(
            model.triangles_subdivided,
            model.subdivision @ face_opacity(model),
            np.interp(places[:, 1], NECK_FADE_MM, (0.0, 1.0)).astype(np.float32),
            skin,
            tuple(inner_parts),
            laplacian,
            factorized((sparse.identity(model.num_subdivided) + SHADING_STIFFNESS * laplacian).tocsc()),
        )


def irradiance_of(head: PosedHead, surface: HeadSurface) -> Float[np.ndarray, "subdivided 3"]:
    """E/π at the vertices, not below zero; mouth and eyes get of what the skin around them gets on average."""
    normals = vertex_normals(head.vertices_camera[None], surface.triangles)[0]
    irradiance = np.maximum(irradiance_over_pi(normals, head.illumination.astype(np.float32)), 0.0)
    for inside, around in surface.inner_parts:
        irradiance[inside] = irradiance[around].mean(axis=0)
    mouth, around = surface.inner_parts[0]
    irradiance[mouth] *= _light_in_mouth(head.vertices_camera, normals, mouth, around)[:, None]
    return irradiance


def _light_in_mouth(places: np.ndarray, normals: np.ndarray, mouth: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Share of the light before the mouth that reaches each place in it: less the deeper, and the less it faces out."""
    front = places[around].mean(axis=0)
    outwards = front - places[mouth].mean(axis=0)
    outwards /= np.linalg.norm(outwards)
    depth_mm = np.maximum((front - places[mouth]) @ outwards, 0.0)
    facing = MOUTH_SIDE_LIGHT + (1.0 - MOUTH_SIDE_LIGHT) * np.maximum(normals[mouth] @ outwards, 0.0)
    return MOUTH_LIGHT * facing * np.exp(-depth_mm / MOUTH_DEPTH_MM)


def _is_within(model: FaceModel, names: Sequence[str]) -> Bool[np.ndarray, " subdivided"]:
    """Which subdivided vertices lie in regions of some names."""
    native = np.zeros(model.num_vertices, dtype=np.float32)
    native[np.concatenate([model.regions[name] for name in names])] = 1.0
    return model.subdivision @ native > 0.5
