# SPDX-License-Identifier: Apache-2.0
"""A real face to fit the face model to: its surface, its landmarks, and the part of it that is measured.

    file ─scans─► surface, landmarks ─make_target─► turned upright, in mm ─face_region─► sampled points of the face

Every target is turned into an upright frame by its own landmarks alone, so that what is measured does not depend on
the face model: x to the subject's left, y up, z out of the face, origin midway between the eyes. The face is what a
frontal half-circle of views sees within 95 mm of the nose tip, without what lies in the eye openings and between the
lips. On it points are drawn evenly by area, so that densely modelled parts count no more than others.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from facefactor.face.adjacency import triangles_within
from facefactor.face.normals import vertex_normals
from facefactor.face.similarity import fit_similarity
from facefactor.render.rasterise import rasterise

UPRIGHT_LANDMARKS = {
    36: (-45.0, -2.0, 6.0),
    39: (-18.0, -4.0, 12.0),
    42: (18.0, -4.0, 12.0),
    45: (45.0, -2.0, 6.0),
    30: (0.0, -33.0, 48.0),
    33: (0.0, -49.0, 34.0),
    48: (-25.0, -71.0, 20.0),
    54: (25.0, -71.0, 20.0),
}
"""iBUG landmark to its place on an average adult head, rounded to millimetres (from ICT-FaceKit's mean head)."""
RIGHT_EYE, LEFT_EYE, INNER_LIPS = range(36, 42), range(42, 48), range(60, 68)
OPENING_GROWTH = 1.2
"""Marks of lids and lips scatter: each opening is grown so much about its middle before its inside is left out."""
NOSE_TIP = 30
NUM_IBUG = 68
FIRST_INNER = 17
"""iBUG landmarks from here on are inner ones; before it runs the jaw line, which is no fixed point of the surface."""

LANDMARK_PARTS = {"brows": range(17, 27), "nose": range(27, 36), "eyes": range(36, 48), "mouth": range(48, 68)}

FACE_RADIUS_MM = 95.0
NUM_POINTS = 6000
"""Measured points of each target."""
VIEWS_DEG = ((0, 0), (-45, 0), (45, 0), (0, 25), (0, -20))
"""Yaw and pitch of the views; a surface that none of them sees (the mouth's inside, a hidden eyeball) is left out."""
VIEW_PX, VIEW_MM_PER_PX = 320, 0.8
VIEW_DISTANCE_MM = 1000.0
NORMAL_NEIGHBOURS = 16
"""Points of a cloud that give its normal and its visible surface."""


@dataclass(frozen=True)
class Landmarks3d:
    """Inner landmarks of a target, each of which the face model has too."""

    scheme: str
    """"ibug68" or "mediapipe478": whose definition of the points was followed."""
    ibug: np.ndarray
    """(L,) iBUG numbers, 17 to 67."""
    points: np.ndarray
    """(L, 3)"""


@dataclass(frozen=True)
class Target:
    """A face to fit, upright, in millimetres."""

    name: str
    group: str
    """"scans", "clouds" or "heads"."""
    has_true_scale: bool
    """False: the file has no unit; the millimetres are those of an average adult."""
    expressions: tuple[str, ...]
    """Names of the expressions that the face may show; () for a neutral face."""
    vertices: np.ndarray
    """(N, 3) the whole surface."""
    triangles: np.ndarray
    """(M, 3); a cloud has none."""
    points: np.ndarray
    """(P, 3) measured points of the face."""
    normals: np.ndarray
    """(P, 3) outward unit normals there."""
    landmarks: Landmarks3d


@dataclass(frozen=True)
class RawFace:
    """What a file holds, in its own frame and unit."""

    name: str
    group: str
    has_true_scale: bool
    expressions: tuple[str, ...]
    vertices: np.ndarray
    """(N, 3)"""
    triangles: np.ndarray
    """(M, 3); (0, 3) for a cloud."""
    landmarks: Landmarks3d
    ibug: np.ndarray
    """(68, 3) iBUG landmarks that place the region; rows 0–16 are not used and may be NaN."""
    face: np.ndarray | None = None
    """Vertex ids of the face where the source names them; else the radius decides."""


def make_target(raw: RawFace, seed: int = 0) -> Target:
    """Turn a face upright and draw the points at which it is measured.

    Args:
        raw: the face as read.
        seed: of the drawn points.
    """
    anchors = list(UPRIGHT_LANDMARKS)
    upright = fit_similarity(
        raw.ibug[anchors], np.array(list(UPRIGHT_LANDMARKS.values())), with_scale=not raw.has_true_scale
    )
    vertices, ibug = upright.apply(raw.vertices), upright.apply(raw.ibug)
    rng = np.random.default_rng(seed)
    if len(raw.triangles):
        faces = raw.triangles[seen_triangles(vertices, raw.triangles)]
        if raw.face is not None:
            faces = triangles_within(faces, raw.face)
        points, normals = sample_surface(vertices, faces, 4 * NUM_POINTS, rng)
    else:
        points, normals = vertices, cloud_normals(vertices)
    inside = in_face(points, ibug) if raw.face is None else ~in_openings(points, ibug)
    kept = np.flatnonzero(inside)
    kept = np.sort(rng.choice(kept, min(NUM_POINTS, len(kept)), replace=False))
    landmarks = Landmarks3d(raw.landmarks.scheme, raw.landmarks.ibug, upright.apply(raw.landmarks.points))
    return Target(
        raw.name, raw.group, raw.has_true_scale, raw.expressions,
        vertices, raw.triangles, points[kept], normals[kept], landmarks,
    )  # fmt: skip


def in_face(points: np.ndarray, ibug: np.ndarray) -> np.ndarray:
    """(N,) bool: within `FACE_RADIUS_MM` of the nose tip and outside the openings; upright frame."""
    near = np.linalg.norm(points - ibug[NOSE_TIP], axis=1) <= FACE_RADIUS_MM
    return near & ~in_openings(points, ibug)


def in_openings(points: np.ndarray, ibug: np.ndarray) -> np.ndarray:
    """(N,) bool: between the lids or between the lips, seen from the front; upright frame."""
    rings = [ibug[list(ring), :2] for ring in (RIGHT_EYE, LEFT_EYE, INNER_LIPS)]
    grown = [ring.mean(axis=0) + OPENING_GROWTH * (ring - ring.mean(axis=0)) for ring in rings]
    return np.any([in_polygon(points[:, :2], ring) for ring in grown], axis=0)


def in_polygon(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """(N,) bool: inside a closed polygon (K, 2), by counting the sides that a ray to the right crosses."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, None, 0], points[:, None, 1]
    spans = (start[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(start[:, 1] == end[:, 1], 1.0, end[:, 1] - start[:, 1])
    crossing_x = start[:, 0] + (y - start[:, 1]) * (end[:, 0] - start[:, 0]) / rise
    return (spans & (x < crossing_x)).sum(axis=1) % 2 == 1


def seen_triangles(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Ids of the triangles that at least one of `VIEWS_DEG` sees; upright frame, mm."""
    seen = np.zeros(len(triangles), dtype=bool)
    pixels, depths = zip(*(_view(vertices, yaw, pitch) for yaw, pitch in VIEWS_DEG), strict=True)
    ids, _ = rasterise(np.stack(pixels), np.stack(depths), triangles, VIEW_PX, VIEW_PX)
    seen[ids[ids >= 0]] = True
    return np.flatnonzero(seen)


def sample_surface(
    vertices: np.ndarray, triangles: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw (count, 3) points evenly by area, with the smooth surface's unit normals there."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = rng.choice(len(triangles), count, p=areas / areas.sum())
    weights = rng.dirichlet(np.ones(3), count)[:, :, None]
    corners = triangles[chosen]
    normals = (vertex_normals(vertices, triangles)[corners] * weights).sum(axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return (vertices[corners] * weights).sum(axis=1), normals


def cloud_normals(points: np.ndarray) -> np.ndarray:
    """(N, 3) unit normals of a face's points by local planes, turned away from the middle of the head."""
    _, neighbours = cKDTree(points).query(points, k=NORMAL_NEIGHBOURS)
    local = points[neighbours] - points[neighbours].mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", local, local))
    normals = vectors[:, :, 0]
    middle = points.mean(axis=0) - [0.0, 0.0, FACE_RADIUS_MM]
    return normals * np.sign(((points - middle) * normals).sum(axis=1, keepdims=True))


def _view(vertices: np.ndarray, yaw_deg: float, pitch_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) and depths (N,) in a parallel view centred on the face."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    turned = (vertices - [0.0, -30.0, 0.0]) @ (about_x @ about_y).T
    pixels = VIEW_PX / 2 + turned[:, :2] * [1, -1] / VIEW_MM_PER_PX
    return pixels, VIEW_DISTANCE_MM - turned[:, 2]
