# SPDX-License-Identifier: Apache-2.0
"""Where the 478 MediaPipe points and the 68 iBUG points lie on the head mesh.

The fit compares the model's points with what a landmark detector sees, so the detector itself says where its points
are: random heads are rendered from several sides, the detector marks them, and each point lies where the surface, drawn
in all pictures, is nearest to its marks. Whether a picture shows that place does not matter, as in the fit. Points of
the lids are put on the skin's visible edge at the eyeball, inner lip points on their own lip. Of the 68 iBUG points the
inner 51 are among them; the jaw line comes with ICT-FaceKit's mean head.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from facefactor.face.adjacency import triangles_within
from facefactor.face.closest import closest_points
from facefactor.face.normals import vertex_normals
from facefactor.face.symmetry import match_mirrored
from facefactor.photo.colour import linear_to_srgb
from facefactor.photo.landmarks import (
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    LEFT_IRIS,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    NUM_LANDMARKS,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
    RIGHT_IRIS,
)
from facefactor.photo.mediapipe_landmarks import run_face_mesh, start_face_mesh
from facefactor.render.rasterise import rasterise

PICTURE_PX = 512
PIXELS_PER_MM = 2.2
CENTRE_MM = np.array([0.0, -35.0, 0.0])
CAMERA_DISTANCE_MM = 2000.0
VIEWS_DEG = [(yaw, pitch) for yaw in (-30, -15, 0, 15, 30) for pitch in (-12, 0, 12)]
LARGEST_MISS_PX = 30.0
"""Distance from a place to a mark beyond which the mark counts as wrong, however far: outline marks slide."""
GRID_STEPS = 8
_GRID = (
    np.array([(a, b, GRID_STEPS - a - b) for a in range(GRID_STEPS + 1) for b in range(GRID_STEPS + 1 - a)])
    / GRID_STEPS
)
"""Barycentric weights of a grid over a triangle; 0.3 mm on the native mesh of the face."""


@dataclass(frozen=True)
class Embedding:
    """Points fixed in triangles of a mesh."""

    vertices: np.ndarray
    """(L, 3) vertex ids of each point's triangle."""
    weights: np.ndarray
    """(L, 3) barycentric weights."""


def mark_landmarks(heads: np.ndarray, albedos: np.ndarray, triangles: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """Let the detector mark rendered heads, and find for each point the place of the surface that its marks show.

    Args:
        heads: (N, V, 3) mm.
        albedos: (N, V, 3) linear RGB.
        triangles: (F, 3).
        surface: (V, 3) the head on which positions are returned.

    Returns:
        (478, 3) positions on `surface`.

    Raises:
        ValueError: the detector sees no face in any picture.
    """
    mesh = start_face_mesh()
    looks = [_look(mesh, *head, triangles, turn) for head in zip(heads, albedos, strict=True) for turn in _turns()]
    views = [view for view in looks if view is not None]
    if not views:
        raise ValueError("the detector saw no face on the rendered heads")
    candidates = np.unique(np.concatenate([view.seen for view in views]))
    cost = np.zeros((NUM_LANDMARKS, len(candidates)))
    for view in views:
        cost += np.minimum(cdist(view.marks_px, view.vertices_px[candidates]), LARGEST_MISS_PX)
    corners = triangles[np.isin(triangles, candidates).all(axis=1)]
    nearest = candidates[cost.argmin(axis=1)]
    marks_px = np.stack([view.marks_px for view in views], axis=1)
    vertices_px = np.stack([view.vertices_px for view in views], axis=1)
    return np.stack(
        [
            _place_in_triangles(marks, vertices_px, corners[(corners == vertex).any(axis=1)], surface)
            for marks, vertex in zip(marks_px, nearest, strict=True)
        ]
    )


def symmetric_places(places: np.ndarray) -> np.ndarray:
    """Average each place (478, 3) with the mirror image of its partner's."""
    return 0.5 * (places + places[match_mirrored(places)] * (-1, 1, 1))


def embed(places: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> Embedding:
    """Fix points (L, 3) at the closest places of a mesh."""
    found = closest_points(places, vertices, triangles)
    return Embedding(triangles[found.triangles], found.barycentrics)


def embed_landmarks(
    places: np.ndarray, mean: np.ndarray, triangles: np.ndarray, regions: dict[str, np.ndarray], centres: dict
) -> Embedding:
    """Fix all 478 points on the native mean head, each kind on the part it belongs to.

    Args:
        places: (478, 3) marked positions.
        mean: (V, 3).
        triangles: (F, 3).
        regions: vertex ids of "outer_skin", "left_eye", "right_eye", "upper_lip_side", "lower_lip_side".
        centres: eyeball centres (3,) by "left_eye", "right_eye".
    """
    skin = triangles_within(triangles, regions["outer_skin"])
    result = embed(places, mean, skin)
    groups: list[tuple[tuple[int, ...], np.ndarray]] = [
        (LIPS_INNER_UPPER[1:-1], triangles_within(skin, regions["upper_lip_side"])),
        (LIPS_INNER_LOWER[1:-1], triangles_within(skin, regions["lower_lip_side"])),
    ]
    for eye, lids, iris in (
        ("left_eye", LEFT_EYE_UPPER + LEFT_EYE_LOWER, LEFT_IRIS),
        ("right_eye", RIGHT_EYE_UPPER + RIGHT_EYE_LOWER, RIGHT_IRIS),
    ):
        radius = np.linalg.norm(mean[regions[eye]] - centres[eye], axis=1).mean()
        outside = regions["outer_skin"][np.linalg.norm(mean[regions["outer_skin"]] - centres[eye], axis=1) > radius]
        groups += [(lids, triangles_within(skin, outside)), (iris, triangles_within(triangles, regions[eye]))]
    vertices, weights = result.vertices.copy(), result.weights.copy()
    for ids, allowed in groups:
        part = embed(places[list(ids)], mean, allowed)
        vertices[list(ids)], weights[list(ids)] = part.vertices, part.weights
    return Embedding(vertices, weights)


@dataclass(frozen=True)
class _View:
    """One picture of a head with the detector's marks."""

    marks_px: np.ndarray
    """(478, 2)."""
    vertices_px: np.ndarray
    """(V, 2)."""
    seen: np.ndarray
    """Ids of the vertices that the picture shows."""


def _turns() -> list[np.ndarray]:
    return [Rotation.from_euler("YX", [yaw, -pitch], degrees=True).as_matrix() for yaw, pitch in VIEWS_DEG]


def _look(mesh, head, albedo, triangles, turn) -> _View | None:
    """Draw a head and let the detector mark it; None when it sees no face."""
    turned = (head - CENTRE_MM) @ turn.T
    depth = CAMERA_DISTANCE_MM - turned[:, 2]
    scale = PIXELS_PER_MM * CAMERA_DISTANCE_MM / depth
    pixels = PICTURE_PX / 2 + turned[:, :2] * scale[:, None] * [1, -1]
    ids, barycentrics = rasterise(pixels[None], depth[None], triangles, PICTURE_PX, PICTURE_PX, cull_back_faces=False)
    normals = vertex_normals(turned, triangles)
    marks = run_face_mesh(mesh, _shade(albedo, normals, triangles, ids[0], barycentrics[0]))
    if marks is None:
        return None
    return _View(marks[:, :2], pixels, np.unique(triangles[ids[ids >= 0]]))


def _place_in_triangles(
    marks_px: np.ndarray, vertices_px: np.ndarray, corners: np.ndarray, surface: np.ndarray
) -> np.ndarray:
    """The place within some triangles whose pictures are nearest to one point's marks, by the capped distance.

    Args:
        marks_px: (views, 2).
        vertices_px: (V, views, 2).
        corners: (triangles, 3).
        surface: (V, 3).
    """
    choices = [_weights_in_triangle(marks_px, vertices_px[corner]) for corner in corners]
    best = int(np.argmin([cost for _, cost in choices]))
    return choices[best][0] @ surface[corners[best]]


def _weights_in_triangle(marks_px: np.ndarray, corners_px: np.ndarray) -> tuple[np.ndarray, float]:
    """Barycentric weights (3,) of the place in a triangle nearest to the marks, and its cost.

    All places of a grid over the triangle are tried: the capped distance has several minima where a mark slides.
    """
    places_px = np.einsum("gc,cvx->gvx", _GRID, corners_px)
    costs = np.minimum(np.linalg.norm(places_px - marks_px, axis=2), LARGEST_MISS_PX).mean(axis=1)
    return _GRID[costs.argmin()], float(costs.min())


def _shade(albedo, normals, triangles, ids, barycentrics) -> np.ndarray:
    """A picture under soft frontal light, 8-bit sRGB."""
    covered = ids >= 0
    corners, weights = triangles[ids[covered]], barycentrics[covered][:, :, None]
    normal = (normals[corners] * weights).sum(axis=1)
    light = 0.45 + 0.6 * np.clip(normal @ (np.array([0.0, 0.35, 0.94])), 0, 1)
    picture = np.full((*ids.shape, 3), 0.3)
    picture[covered] = (albedo[corners] * weights).sum(axis=1) * light[:, None]
    return (np.clip(linear_to_srgb(np.clip(picture, 0, 1)), 0, 1) * 255 + 0.5).astype(np.uint8)
