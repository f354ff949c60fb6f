# SPDX-License-Identifier: Apache-2.0
"""What pixels see of a mesh, and the values blended there."""

import numpy as np

from facefactor.camera.projection import crop_intrinsics
from facefactor.render.fragments import blend_corners, rasterise_camera


def test_blending_equals_a_loop_over_points():
    generator = np.random.default_rng(0)
    values, weights = generator.standard_normal((4, 5)), generator.random((6, 3))
    corners = generator.integers(0, 4, (6, 3))
    expected = [weight @ values[corner] for weight, corner in zip(weights, corners, strict=True)]
    np.testing.assert_allclose(blend_corners(values, corners, weights), expected)


def test_blended_values_have_the_precision_of_the_weights():
    blended = blend_corners(np.eye(3), np.array([[0, 1, 2]]), np.full((1, 3), 0.25, np.float32))
    assert blended.dtype == np.float32


def test_interpolated_positions_project_to_the_pixel_centres(icosphere):
    """Points interpolated over a rasterised sphere lie on the rays through the pixels they were found at."""
    vertices, triangles = icosphere(3)
    vertices = 80.0 * vertices + [0.0, 0.0, -700.0]
    K = crop_intrinsics(32)
    (ids,), (weights,) = rasterise_camera(vertices[None], K, triangles, 32, 32)
    rows, columns = np.nonzero(ids >= 0)
    x, y, z = blend_corners(vertices, triangles[ids[rows, columns]], weights[rows, columns]).T
    pixels = np.stack((K[0, 0] * x / -z + 16, K[0, 0] * -y / -z + 16), axis=-1)
    # The rasteriser works on float32 pixels.
    np.testing.assert_allclose(pixels, np.stack((columns, rows), axis=-1) + 0.5, atol=2e-4)
    assert len(rows) > 300
