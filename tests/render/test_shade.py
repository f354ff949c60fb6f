# SPDX-License-Identifier: Apache-2.0
"""Normals, interpolation and colour encoding."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from facefactor.camera.projection import crop_intrinsics
from facefactor.render.shade import (
    interpolate,
    linear_to_srgb,
    rasterise_camera,
    srgb_to_linear,
    vertex_normals,
)


def as_tensors(mesh):
    return torch.from_numpy(mesh[0]), torch.from_numpy(mesh[1])


def test_convention_normals_point_out_of_a_counter_clockwise_mesh(icosphere):
    vertices, triangles = as_tensors(icosphere(3))
    normals = vertex_normals(vertices, triangles)
    torch.testing.assert_close(torch.linalg.vector_norm(normals, dim=-1), torch.ones(len(normals), dtype=torch.float64))
    assert (normals * vertices).sum(-1).min() > 0.998  # a polyhedron's normals are within 3.6° of the sphere's


def test_normals_equal_a_loop_over_triangles(icosphere):
    vertices, triangles = icosphere(1)
    vertices = vertices * [70.0, 100.0, 80.0]
    sums = np.zeros_like(vertices)
    for triangle in triangles:
        a, b, c = vertices[triangle]
        sums[triangle] += np.cross(b - a, c - a)
    expected = sums / np.linalg.norm(sums, axis=-1, keepdims=True)
    normals = vertex_normals(torch.from_numpy(np.stack((vertices, -vertices))), torch.from_numpy(triangles))
    np.testing.assert_allclose(normals[0].numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(normals[1].numpy(), expected, atol=1e-12)  # both edges flip, their product does not


def test_a_vertex_without_triangles_has_no_normal():
    normals = vertex_normals(torch.eye(4, 3), torch.tensor([[0, 1, 2]]))
    assert normals[3].tolist() == [0.0, 0.0, 0.0]


def test_gradients_of_the_normals_are_right(icosphere):
    vertices, triangles = as_tensors(icosphere(0))
    assert gradcheck(lambda points: vertex_normals(points, triangles), (vertices.requires_grad_(),))


def test_interpolation_equals_a_loop_over_pixels():
    generator = torch.Generator().manual_seed(0)
    triangles = torch.tensor([[0, 1, 2], [2, 1, 3]])
    attributes = torch.randn(2, 4, 5, generator=generator, dtype=torch.float64)
    ids = torch.randint(-1, 2, (2, 3, 4), generator=generator)
    weights = torch.rand(2, 3, 4, 3, generator=generator, dtype=torch.float64)
    picture = interpolate(attributes, ids, weights, triangles)
    for index, row, column in np.ndindex(2, 3, 4):
        face = ids[index, row, column]
        expected = torch.zeros(5, dtype=torch.float64)
        if face >= 0:
            expected = weights[index, row, column] @ attributes[index, triangles[face]]
        torch.testing.assert_close(picture[index, row, column], expected)


def test_an_empty_batch_interpolates_to_an_empty_batch():
    ids, weights = torch.zeros(0, 2, 2, dtype=torch.int32), torch.zeros(0, 2, 2, 3)
    assert interpolate(torch.zeros(0, 4, 5), ids, weights, torch.tensor([[0, 1, 2]])).shape == (0, 2, 2, 5)


def test_gradients_of_the_interpolation_are_right():
    generator = torch.Generator().manual_seed(0)
    attributes = torch.randn(1, 4, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(1, 2, 2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    ids, triangles = torch.tensor([[[0, 1], [-1, 1]]]), torch.tensor([[0, 1, 2], [2, 1, 3]])
    assert gradcheck(lambda values, shares: interpolate(values, ids, shares, triangles), (attributes, weights))


def test_interpolated_positions_project_to_the_pixel_centres(icosphere):
    """Points interpolated over a rasterised sphere lie on the rays through the pixels they were found at."""
    vertices, triangles = as_tensors(icosphere(3))
    vertices = (80.0 * vertices + torch.tensor([0.0, 0.0, -700.0]))[None]
    K = crop_intrinsics(32, dtype=torch.float64)
    fragments = rasterise_camera(vertices, K, triangles, 32, 32)
    points = interpolate(vertices, *fragments, triangles)[0]
    rows, columns = (fragments.triangle_ids[0] >= 0).nonzero(as_tuple=True)
    x, y, z = points[rows, columns].unbind(-1)
    pixels = torch.stack((K[0, 0] * x / -z + 16, K[0, 0] * -y / -z + 16), dim=-1)
    centres = torch.stack((columns, rows), dim=-1) + 0.5
    # The rasteriser works on float32 pixels.
    torch.testing.assert_close(pixels, centres.double(), atol=1e-4, rtol=0)
    assert len(rows) > 300


@pytest.mark.parametrize(
    ("linear", "srgb"), [(0.0, 0.0), (1.0, 1.0), (0.0031308, 0.04045), (0.18, 0.4614), (0.5, 0.7354), (-0.1, -1.292)]
)
def test_convention_srgb_encoding_at_known_points(linear, srgb):
    encoded = linear_to_srgb(torch.tensor([linear], dtype=torch.float64))
    assert encoded.item() == pytest.approx(srgb, abs=1e-4)


def test_decoding_undoes_encoding():
    values = torch.linspace(-0.5, 2.0, 1001, dtype=torch.float64)
    # The standard rounds the two pieces' joint to five digits: 4e-8 apart there.
    torch.testing.assert_close(srgb_to_linear(linear_to_srgb(values)), values, atol=1e-7, rtol=0)


def test_gradients_of_the_encoding_are_right_and_finite_at_black():
    values = torch.tensor([-0.2, 0.0, 1e-3, 0.02, 0.3, 1.0, 1.4], dtype=torch.float64, requires_grad=True)
    assert gradcheck(linear_to_srgb, (values,))
    assert gradcheck(srgb_to_linear, (values,))
    linear_to_srgb(values).sum().backward()
    assert values.grad[1] == 12.92
