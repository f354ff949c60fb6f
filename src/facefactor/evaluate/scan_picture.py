# SPDX-License-Identifier: Apache-2.0
"""Draw fits beside what they were fitted to: scan, fit, mean face and error map, each from the front and from 45°.

All are drawn in the model's frame by the same camera, grey and matt. The error map colours the target's measured
surface from blue (0) over green and yellow to red (3 mm and more); what is not measured stays grey. A cloud gets a
surface for drawing by a Delaunay triangulation of its points' directions seen from the middle of the head.
"""

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import Delaunay, cKDTree

from facefactor.evaluate.shape_fit import ModelSurface, ShapeFit
from facefactor.evaluate.target import FACE_RADIUS_MM, Target
from facefactor.face.closest import closest_points
from facefactor.light.presets import preset_light
from facefactor.render.picture import GREY_ALBEDO_LINEAR, View

CELL_PX = 240
YAWS_DEG = (0.0, 45.0)
CAMERA_DISTANCE_MM, FIELD_MM = 1000.0, 250.0
"""The camera looks at the middle of the face and sees so much of the plane through it."""
MIDDLE_MM = (0.0, -30.0, 0.0)
ERROR_STOPS_MM = (0.0, 0.75, 1.5, 2.25, 3.0)
ERROR_COLOURS_LINEAR = ((0.05, 0.08, 0.6), (0.05, 0.45, 0.6), (0.1, 0.6, 0.1), (0.85, 0.7, 0.05), (0.8, 0.05, 0.03))
MEASURED_WITHIN_MM = 4.0
"""A vertex this near to a measured point is coloured."""
LONGEST_EDGE_MM = 9.0
"""Longer edges of a cloud's triangulation bridge gaps."""
HEADINGS = ("scan", "fit", "mean", "error 0-3 mm")


def draw_row(surface: ModelSurface, target: Target, mean: ShapeFit, fit: ShapeFit) -> np.ndarray:
    """Draw one target and its fits.

    Returns:
        (CELL_PX, 8 CELL_PX, 3) uint8 sRGB.
    """
    vertices = fit.to_model.apply(target.vertices)
    triangles = target.triangles if len(target.triangles) else triangulate_cloud(target.vertices)
    refined = surface.model.triangles_subdivided
    cells = (
        _draw(vertices, triangles, _grey(vertices)),
        _draw(fit.vertices, refined, _grey(fit.vertices)),
        _draw(mean.vertices, refined, _grey(mean.vertices)),
        _draw(vertices, triangles, _error_colours(surface, target, fit, vertices)),
    )
    return _label(np.concatenate(cells, axis=1), target.name)


def error_colours(distances_mm: np.ndarray) -> np.ndarray:
    """(N, 3) linear RGB of distances (N,)."""
    channels = np.array(ERROR_COLOURS_LINEAR).T
    return np.stack([np.interp(distances_mm, ERROR_STOPS_MM, channel) for channel in channels], axis=1)


def triangulate_cloud(points: np.ndarray) -> np.ndarray:
    """(M, 3) triangles of a face's points (N, 3) in the upright frame, counter-clockwise from outside."""
    x, y, z = (points - [0.0, -30.0, -FACE_RADIUS_MM]).T
    flat = np.stack([np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))], axis=1)
    triangles = Delaunay(flat).simplices
    a, b, c = (flat[triangles[:, corner]] for corner in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    triangles[area < 0] = triangles[area < 0][:, ::-1]
    edges = points[triangles] - points[np.roll(triangles, 1, axis=1)]
    return triangles[np.linalg.norm(edges, axis=2).max(axis=1) < LONGEST_EDGE_MM]


def _draw(vertices: np.ndarray, triangles: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """(CELL_PX, 2 CELL_PX, 3) uint8: one mesh from each of `YAWS_DEG`."""
    focal_px = CAMERA_DISTANCE_MM * CELL_PX / FIELD_MM
    K = np.array([[focal_px, 0.0, CELL_PX / 2], [0.0, focal_px, CELL_PX / 2], [0.0, 0.0, 1.0]])
    white = np.ones((CELL_PX, CELL_PX, 3))
    views = [View(_before_camera(vertices, yaw), K, triangles, CELL_PX, CELL_PX) for yaw in YAWS_DEG]
    cells = [view.picture(albedo, preset_light("studio"), white) for view in views]
    return (np.concatenate(cells, axis=1) * 255 + 0.5).astype(np.uint8)


def _before_camera(vertices: np.ndarray, yaw_deg: float) -> np.ndarray:
    yaw = np.radians(yaw_deg)
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    return (vertices - MIDDLE_MM) @ turn.T - [0.0, 0.0, CAMERA_DISTANCE_MM]


def _grey(vertices: np.ndarray) -> np.ndarray:
    return np.full_like(vertices, GREY_ALBEDO_LINEAR)


def _error_colours(surface: ModelSurface, target: Target, fit: ShapeFit, vertices: np.ndarray) -> np.ndarray:
    """Albedo (N, 3) of the target's vertices, already in the model's frame."""
    distance, _ = cKDTree(target.points).query(target.vertices)
    measured = distance < MEASURED_WITHIN_MM
    errors = closest_points(vertices[measured], fit.vertices, surface.triangles).distances
    colours = _grey(vertices)
    colours[measured] = error_colours(errors)
    return colours


def _label(row: np.ndarray, name: str) -> np.ndarray:
    picture = Image.fromarray(row)
    pen = ImageDraw.Draw(picture)
    pen.text((4, 2), name, fill=(0, 0, 0))
    for number, heading in enumerate(HEADINGS):
        pen.text((4 + 2 * CELL_PX * number, CELL_PX - 14), heading, fill=(0, 0, 0))
    return np.asarray(picture)
