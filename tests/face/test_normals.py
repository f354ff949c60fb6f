# SPDX-License-Identifier: Apache-2.0
"""Normals at the vertices of spheres and other small meshes, by both libraries."""

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull
from torch.autograd import gradcheck

from facefactor.face.normals import vertex_normals


def make_sphere(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points spread evenly over the unit sphere, and the triangles of their hull, counter-clockwise from outside."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - height**2)
    vertices = np.stack((radius * np.cos(turn), radius * np.sin(turn), height), axis=1)
    triangles = ConvexHull(vertices).simplices
    a, b, c = np.moveaxis(vertices[triangles], 1, 0)
    is_inside_out = (np.cross(b - a, c - a) * a).sum(axis=1) < 0
    triangles[is_inside_out] = triangles[is_inside_out][:, ::-1]
    return vertices, triangles


def test_convention_normals_point_out_of_a_counter_clockwise_mesh():
    vertices, triangles = make_sphere(1000)
    normals = vertex_normals(vertices, triangles)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)
    assert (normals * vertices).sum(axis=1).min() > 0.998  # a polyhedron's normals are within 3.6° of the sphere's


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
def test_normals_equal_a_loop_over_triangles(library):
    vertices, triangles = make_sphere(40)
    vertices = vertices * [70.0, 100.0, 80.0]
    sums = np.zeros_like(vertices)
    for triangle in triangles:
        a, b, c = vertices[triangle]
        sums[triangle] += np.cross(b - a, c - a)
    expected = sums / np.linalg.norm(sums, axis=-1, keepdims=True)
    normals = vertex_normals(library(np.stack((vertices, -vertices))), library(triangles))
    np.testing.assert_allclose(normals[0], expected, atol=1e-12)
    np.testing.assert_allclose(normals[1], expected, atol=1e-12)  # both edges flip, their product does not


def test_a_vertex_without_triangles_has_no_normal():
    normals = vertex_normals(np.eye(4, 3), np.array([[0, 1, 2]]))
    assert normals[3].tolist() == [0.0, 0.0, 0.0]


def test_gradients_of_the_normals_are_right():
    vertices, triangles = (torch.from_numpy(part) for part in make_sphere(12))
    assert gradcheck(lambda points: vertex_normals(points, triangles), (vertices.requires_grad_(),))
