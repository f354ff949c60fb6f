# SPDX-License-Identifier: Apache-2.0
"""Where the 478 MediaPipe points and the 68 iBUG points lie on the head mesh.

The fit compares the model's points with what a landmark detector sees, so the detector itself says where its points
are: random heads are rendered from several sides, the detector marks them, and each point's place on the surface is
the median over all pictures. Points of the lids are put on the skin's visible edge at the eyeball, inner lip points
on their own lip. Of the 68 iBUG points the inner 51 are among them; the jaw line comes with ICT-FaceKit's mean head.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from facefactor.face.adjacency import triangles_within
from facefactor.face.closest import closest_points
from facefactor.face.normals import vertex_normals
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
MIN_FACING = 0.3
"""Cosine between surface normal and view below which a marked point is not trusted."""
MIN_SIGHTINGS = 3


@dataclass(frozen=True)
class Embedding:
    """Points fixed in triangles of a mesh."""

    vertices: np.ndarray
    """(L, 3) vertex ids of each point's triangle."""
    weights: np.ndarray
    """(L, 3) barycentric weights."""


def mark_landmarks(heads: np.ndarray, albedos: np.ndarray, triangles: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """Let the detector mark rendered heads and carry the marks to one surface.

    Args:
        heads: (N, V, 3) mm.
        albedos: (N, V, 3) linear RGB.
        triangles: (F, 3).
        surface: (V, 3) the head on which positions are returned.

    Returns:
        (478, 3) median position on `surface`, NaN where a point was seen too rarely.
    """
    mesh = start_face_mesh()
    sightings = []
    for head, albedo in zip(heads, albedos, strict=True):
        for yaw_deg, pitch_deg in VIEWS_DEG:
            turn = Rotation.from_euler("YX", [yaw_deg, -pitch_deg], degrees=True).as_matrix()
            sightings.append(_mark_one(mesh, head, albedo, triangles, turn, surface))
    seen = np.array(sightings)
    enough = np.isfinite(seen).all(axis=2).sum(axis=0) >= MIN_SIGHTINGS
    places = np.full((NUM_LANDMARKS, 3), np.nan)
    places[enough] = np.nanmedian(seen[:, enough], axis=0)
    return places


def symmetric_places(places: np.ndarray) -> np.ndarray:
    """Average each marked point with the mirror image of its partner; a point seen on one side only is mirrored."""
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    mirrored = places[known] * [-1, 1, 1]
    distance = np.linalg.norm(places[known][:, None] - mirrored[None], axis=2)
    partner = distance.argmin(axis=1)
    mutual = partner[partner] == np.arange(len(known))
    result = places.copy()
    result[known[mutual]] = 0.5 * (places[known] + mirrored[partner])[mutual]
    return result


def embed(places: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> Embedding:
    """Fix points (L, 3) at the closest places of a mesh."""
    found = closest_points(places, vertices, triangles)
    return Embedding(triangles[found.triangles], found.barycentrics)


def embed_landmarks(
    places: np.ndarray, mean: np.ndarray, triangles: np.ndarray, regions: dict[str, np.ndarray], centres: dict
) -> Embedding:
    """Fix all 478 points on the native mean head, each kind on the part it belongs to.

    Args:
        places: (478, 3) marked positions without gaps.
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


def _mark_one(mesh, head, albedo, triangles, turn, surface):
    """(478, 3) positions on `surface` of the points marked in one picture; NaN where hidden or seen askance."""
    turned = (head - CENTRE_MM) @ turn.T
    depth = CAMERA_DISTANCE_MM - turned[:, 2]
    scale = PIXELS_PER_MM * CAMERA_DISTANCE_MM / depth
    pixels = PICTURE_PX / 2 + turned[:, :2] * scale[:, None] * [1, -1]
    ids, barycentrics = rasterise(pixels[None], depth[None], triangles, PICTURE_PX, PICTURE_PX, cull_back_faces=False)
    normals = vertex_normals(turned, triangles)
    places = np.full((NUM_LANDMARKS, 3), np.nan)
    marks = run_face_mesh(mesh, _shade(albedo, normals, triangles, ids[0], barycentrics[0]))
    if marks is None:
        return places
    columns, rows = np.clip(marks[:, :2].astype(int), 0, PICTURE_PX - 1).T
    hit, weights = ids[0, rows, columns], barycentrics[0, rows, columns][:, :, None]
    corners = triangles[hit]
    facing = (normals[corners] * weights).sum(axis=1)[:, 2]
    good = (hit >= 0) & (facing > MIN_FACING)
    places[good] = (surface[corners] * weights).sum(axis=1)[good]
    return places


def _shade(albedo, normals, triangles, ids, barycentrics) -> np.ndarray:
    """A picture under soft frontal light, 8-bit sRGB."""
    covered = ids >= 0
    corners, weights = triangles[ids[covered]], barycentrics[covered][:, :, None]
    normal = (normals[corners] * weights).sum(axis=1)
    light = 0.45 + 0.6 * np.clip(normal @ (np.array([0.0, 0.35, 0.94])), 0, 1)
    picture = np.full((*ids.shape, 3), 0.3)
    picture[covered] = (albedo[corners] * weights).sum(axis=1) * light[:, None]
    return (np.clip(linear_to_srgb(np.clip(picture, 0, 1)), 0, 1) * 255 + 0.5).astype(np.uint8)
