# SPDX-License-Identifier: Apache-2.0
"""Landmarks read off the mesh: fixed points of the surface, and the contour that slides with the view.

For numpy arrays, and for torch tensors with gradients.

The 17 jaw points of the iBUG set mark the outline of the face in the picture. Seen from the front that is the jaw; on
the far side of a turned head it is the cheek, which hides the jaw. So each jaw point owns a path on the surface, from
the jaw inwards, in the plane through the point, the head's z axis and the normal of the jaw line seen from the front.
Under a view, the point is the outermost place of its path (after the landmark marching of Zhu et al. 2015,
"High-fidelity pose and expression normalization", section 3.1, with planes across the jaw in place of horizontal ones):

    maximise over the path   pixel · d,      d = the picture's normal of the jaw line's direction R (T_x, T_y, 0)

which is where a surface that runs straight along the jaw turns away from the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from array_api_compat import device

from facefactor.arrays import Array, array_namespace, constant_like
from facefactor.face.adjacency import triangles_within
from facefactor.face.closest import closest_points
from facefactor.face.model import FaceModel

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NUM_CONTOUR = 17
"""iBUG points 0–16, from the subject's right ear over the chin to the left."""
PATH_STEPS = 32
PATH_SHARE = 0.4
"""Length of a path over the distance from the jaw to the middle of the face, both seen from the front."""
MIDDLE_MM = np.array([0.0, -35.0])
"""Middle of the face, head frame, seen from the front: at the nose's base."""


@dataclass(frozen=True, eq=False)
class ContourPaths:
    """For each jaw point, the places of the surface among which it slides, from the jaw inwards."""

    corners: Int[np.ndarray, "17 steps 3"]
    """Vertex ids of each place's triangle."""
    weights: Float[np.ndarray, "17 steps 3"]
    """Barycentric weights."""
    tangents: Float[np.ndarray, "17 3"]
    """Direction of the jaw line from point 0 to point 16, head frame, unit, z = 0."""


def read_points(
    vertices: Float[Array, "batch vertices 3"],
    corners: Int[Array, "*points 3"],
    weights: Float[Array, "*points 3"],
) -> Float[Array, "batch *points 3"]:
    """Points fixed in triangles.

    Args:
        vertices: any frame and unit.
        corners: vertex ids of each point's triangle.
        weights: barycentric weights, each row summing to one.
    """
    xp = array_namespace(vertices)
    values = xp.take(vertices, xp.reshape(corners, (-1,)), axis=1)
    values = xp.reshape(values, (-1, *corners.shape, 3))
    return xp.sum(values * weights[..., None], axis=-2)


def read_contour(
    vertices_camera: Float[Array, "batch vertices 3"],
    rotation_matrix: Float[Array, "batch 3 3"],
    paths: ContourPaths,
) -> Float[Array, "batch 17 3"]:
    """The outline of the face under a view; which place of a path is taken carries no gradient.

    Args:
        vertices_camera: native vertices, camera frame, millimetres, in front of the camera.
        rotation_matrix: head to camera.
        paths: of the face model.
    """
    xp = array_namespace(vertices_camera)
    corners = xp.asarray(paths.corners, device=device(vertices_camera))
    places = read_points(vertices_camera, corners, constant_like(paths.weights, vertices_camera))
    return outermost_places(places, rotation_matrix, constant_like(paths.tangents, rotation_matrix))


def outermost_places(
    places_camera: Float[Array, "batch 17 steps 3"],
    rotation_matrix: Float[Array, "batch 3 3"],
    tangents: Float[Array, "17 3"],
) -> Float[Array, "batch 17 3"]:
    """Take the outermost place of each path, without a gradient for which one.

    Args:
        places_camera: of the paths, camera frame, millimetres.
        rotation_matrix: head to camera.
        tangents: of the paths, see `ContourPaths`.
    """
    xp = array_namespace(places_camera)
    turned = tangents @ rotation_matrix.mT
    outwards = xp.stack((turned[..., 1], -turned[..., 0]), axis=-1)
    in_picture = places_camera[..., :2] / -places_camera[..., 2:]
    outermost = xp.argmax(xp.sum(in_picture * outwards[:, :, None], axis=-1), axis=-1)
    batch, contour, steps = places_camera.shape[:3]
    first = steps * xp.arange(batch * contour, device=device(places_camera))
    chosen = xp.take(xp.reshape(places_camera, (-1, 3)), first + xp.reshape(outermost, (-1,)), axis=0)
    return xp.reshape(chosen, (batch, contour, 3))


def contour_paths(model: FaceModel) -> ContourPaths:
    """Lay the paths over the mean face of a model."""
    jaw = (model.mean[model.landmarks68_vertices] * model.landmarks68_weights[..., None]).sum(axis=1)[:NUM_CONTOUR]
    tangents = np.gradient(jaw[:, :2], axis=0)
    tangents[[0, -1]] = [(0.0, -1.0), (0.0, 1.0)]  # beside the ears the outline is upright
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    inwards = np.stack([-tangents[:, 1], tangents[:, 0]], axis=1)
    length = PATH_SHARE * np.linalg.norm(jaw[:, :2] - MIDDLE_MM, axis=1)
    steps = np.linspace(0, 1, PATH_STEPS) ** 2  # the surface is steep at the jaw, where small steps go far
    places = jaw[:, None, :2] + steps[None, :, None] * (length[:, None] * inwards)[:, None]
    flat = model.mean * (1.0, 1.0, 0.0)
    skin = _front_side(model.mean, triangles_within(model.triangles, model.regions["face"]))
    found = closest_points(np.pad(places.reshape(-1, 2), ((0, 0), (0, 1))), flat, skin)
    corners = skin[found.triangles].reshape(NUM_CONTOUR, PATH_STEPS, 3)
    weights = found.barycentrics.reshape(NUM_CONTOUR, PATH_STEPS, 3)
    corners[:, 0], weights[:, 0] = model.landmarks68_vertices[:NUM_CONTOUR], model.landmarks68_weights[:NUM_CONTOUR]
    return ContourPaths(
        corners.astype(np.int64), weights.astype(np.float32), np.pad(tangents, ((0, 0), (0, 1))).astype(np.float32)
    )


def _front_side(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The triangles that are seen from the front."""
    first, second, third = np.moveaxis(vertices[triangles], 1, 0)
    return triangles[np.cross(second - first, third - first)[:, 2] > 0]
