# SPDX-License-Identifier: Apache-2.0
"""Landmarks read off the mesh, in torch: fixed points of the surface, and the contour that slides with the view.

The 17 jaw points of the iBUG set mark the outline of the face in the picture. Seen from the front that is the jaw; on
the far side of a turned head it is the cheek, which hides the jaw. So each jaw point owns a path on the surface, from
the jaw inwards, in the plane through the point, the head's z axis and the normal of the jaw line seen from the front.
Under a view, the point is the outermost place of its path (after the landmark marching of Zhu et al. 2015,
"High-fidelity pose and expression normalization", section 3.1, with planes across the jaw in place of horizontal ones):

    maximise over the path   pixel · d,      d = the picture's normal of the jaw line's direction R (T_x, T_y, 0)

which is where a surface that runs straight along the jaw turns away from the viewer.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from facefactor.face.adjacency import triangles_within
from facefactor.face.closest import closest_points
from facefactor.face.model import FaceModel

NUM_CONTOUR = 17
"""iBUG points 0–16, from the subject's right ear over the chin to the left."""
PATH_STEPS = 32
PATH_SHARE = 0.4
"""Length of a path over the distance from the jaw to the middle of the face, both seen from the front."""
MIDDLE_MM = np.array([0.0, -35.0])
"""Middle of the face, head frame, seen from the front: at the nose's base."""


@dataclass(frozen=True)
class ContourPaths:
    """For each jaw point, the places of the surface among which it slides, from the jaw inwards."""

    corners: Int[Tensor, "17 steps 3"]
    """Vertex ids of each place's triangle."""
    weights: Float[Tensor, "17 steps 3"]
    """Barycentric weights."""
    tangents: Float[Tensor, "17 3"]
    """Direction of the jaw line from point 0 to point 16, head frame, unit, z = 0."""


def read_points(
    vertices: Float[Tensor, "batch vertices 3"],
    corners: Int[Tensor, "landmarks 3"],
    weights: Float[Tensor, "landmarks 3"],
) -> Float[Tensor, "batch landmarks 3"]:
    """Points fixed in triangles.

    Args:
        vertices: any frame and unit.
        corners: vertex ids of each point's triangle.
        weights: barycentric weights, each row summing to one.
    """
    return (_at_corners(vertices, corners) * weights[..., None]).sum(dim=-2)


def read_contour(
    vertices_camera: Float[Tensor, "batch vertices 3"],
    rotation_matrix: Float[Tensor, "batch 3 3"],
    paths: ContourPaths,
) -> Float[Tensor, "batch 17 3"]:
    """The outline of the face under a view; which place of a path is taken carries no gradient.

    Args:
        vertices_camera: native vertices, camera frame, millimetres, in front of the camera.
        rotation_matrix: head to camera.
        paths: of the face model.
    """
    corners = _at_corners(vertices_camera, paths.corners)
    places = (corners * paths.weights.to(vertices_camera)[..., None]).sum(dim=-2)
    return outermost_places(places, rotation_matrix, paths.tangents)


def outermost_places(
    places_camera: Float[Tensor, "batch 17 steps 3"],
    rotation_matrix: Float[Tensor, "batch 3 3"],
    tangents: Float[Tensor, "17 3"],
) -> Float[Tensor, "batch 17 3"]:
    """Take the outermost place of each path, without a gradient for which one.

    Args:
        places_camera: of the paths, camera frame, millimetres.
        rotation_matrix: head to camera.
        tangents: of the paths, see `ContourPaths`.
    """
    turned = tangents.to(rotation_matrix) @ rotation_matrix.mT
    outwards = torch.stack((turned[..., 1], -turned[..., 0]), dim=-1)
    in_picture = places_camera[..., :2] / -places_camera[..., 2:]
    outermost = (in_picture * outwards[:, :, None]).sum(dim=-1).argmax(dim=-1)
    return places_camera.gather(2, outermost[..., None, None].expand(-1, -1, 1, 3))[:, :, 0]


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
        torch.from_numpy(corners).long(),
        torch.from_numpy(weights).float(),
        torch.from_numpy(np.pad(tangents, ((0, 0), (0, 1)))).float(),
    )


def _at_corners(
    vertices: Float[Tensor, "batch vertices 3"], corners: Int[Tensor, "*points 3"]
) -> Float[Tensor, "batch *points 3 3"]:
    return vertices.index_select(1, corners.flatten()).unflatten(1, corners.shape)


def _front_side(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The triangles that are seen from the front."""
    first, second, third = np.moveaxis(vertices[triangles], 1, 0)
    return triangles[np.cross(second - first, third - first)[:, 2] > 0]
