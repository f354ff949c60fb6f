# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from facefactor.face.closest import closest_points

TRIANGLE = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 3.0, 0.0]])


def closest_barycentrics(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Weights (N, 3) of the place on each of N triangles (N, 3, 3) that is nearest to each of N points."""
    each = zip(points, corners, strict=True)
    return np.concatenate(
        [closest_points(point[None], three, np.array([[0, 1, 2]])).barycentrics for point, three in each]
    )


def distance_by_sampling(point: np.ndarray, corners: np.ndarray, steps: int = 200) -> float:
    """Distance to the nearest of many points spread over a triangle."""
    first, second = np.meshgrid(np.arange(steps + 1), np.arange(steps + 1))
    inside = first + second <= steps
    weights = np.stack([steps - first - second, first, second], axis=-1)[inside] / steps
    return float(np.linalg.norm(weights @ corners - point, axis=1).min())


def grid_surface(size: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """A wavy sheet of triangles of similar size."""
    x, y = np.meshgrid(np.arange(size, dtype=float), np.arange(size, dtype=float))
    vertices = np.stack([x, y, np.sin(0.8 * x) + np.cos(0.6 * y)], axis=-1).reshape(-1, 3)
    corner = (np.arange(size - 1)[:, None] * size + np.arange(size - 1)).ravel()
    lower = np.stack([corner, corner + 1, corner + size + 1], axis=-1)
    upper = np.stack([corner, corner + size + 1, corner + size], axis=-1)
    return vertices, np.concatenate([lower, upper])


@pytest.mark.parametrize(
    ("point", "weights"),
    [
        pytest.param((1.0, 1.0, 5.0), (5 / 12, 1 / 4, 1 / 3), id="over the face"),
        pytest.param((1.0, 1.0, -5.0), (5 / 12, 1 / 4, 1 / 3), id="under the face"),
        pytest.param((1.0, -2.0, 1.0), (3 / 4, 1 / 4, 0), id="beside the first edge"),
        pytest.param((-2.0, 1.5, 1.0), (1 / 2, 0, 1 / 2), id="beside the last edge"),
        pytest.param((2.0 + 3.0, 1.5 + 4.0, 1.0), (0, 1 / 2, 1 / 2), id="beside the slanted edge"),
        pytest.param((-1.0, -1.0, 2.0), (1, 0, 0), id="beyond the first corner"),
        pytest.param((9.0, -1.0, 2.0), (0, 1, 0), id="beyond the second corner"),
        pytest.param((0.0, 9.0, 2.0), (0, 0, 1), id="beyond the third corner"),
        pytest.param((4.0, 0.0, 0.0), (0, 1, 0), id="at a corner"),
    ],
)
def test_the_nearest_point_of_one_triangle_is_where_geometry_says(point, weights):
    np.testing.assert_allclose(closest_barycentrics(np.array([point]), TRIANGLE[None])[0], weights, atol=1e-12)


def test_weights_are_barycentric_for_any_point_and_triangle():
    rng = np.random.default_rng(0)
    weights = closest_barycentrics(rng.normal(size=(500, 3)), rng.normal(size=(500, 3, 3)))
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-9)


def test_no_point_of_the_triangle_is_nearer():
    rng = np.random.default_rng(1)
    for point, corners in zip(rng.normal(size=(40, 3)) * 2, rng.normal(size=(40, 3, 3)), strict=True):
        distance = np.linalg.norm(closest_barycentrics(point[None], corners[None])[0] @ corners - point)
        sampled = distance_by_sampling(point, corners)
        # Samples are 1/200 of a side apart, sides here are shorter than 6.
        assert distance <= sampled + 1e-9
        assert sampled - distance < 6 / 200


def test_a_triangle_without_area_gives_a_point_of_its_line():
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    (weights,) = closest_barycentrics(np.array([[1.5, 1.0, 0.0]]), corners[None])
    np.testing.assert_allclose(weights @ corners, [1.5, 0.0, 0.0], atol=1e-9)


def test_closest_points_agree_with_trying_every_triangle():
    vertices, triangles = grid_surface()
    queries = np.random.default_rng(2).uniform((-1, -1, -3), (12, 12, 3), (300, 3))
    found = closest_points(queries, vertices, triangles)
    each = [closest_points(queries, vertices, triangle[None]).distances for triangle in triangles]
    distances = np.stack(each, axis=1)
    np.testing.assert_allclose(found.distances, distances.min(axis=1), atol=1e-9)


def test_the_parts_of_the_answer_describe_one_point():
    vertices, triangles = grid_surface()
    queries = np.random.default_rng(3).uniform(-1, 12, (100, 3))
    found = closest_points(queries, vertices, triangles)
    rebuilt = np.einsum("nc,ncd->nd", found.barycentrics, vertices[triangles[found.triangles]])
    np.testing.assert_allclose(found.points, rebuilt, atol=1e-9)
    np.testing.assert_allclose(found.distances, np.linalg.norm(found.points - queries, axis=1), atol=1e-9)


def test_points_of_the_surface_are_found_at_distance_zero():
    vertices, triangles = grid_surface()
    rng = np.random.default_rng(4)
    chosen, weights = rng.integers(len(triangles), size=200), rng.dirichlet(np.ones(3), 200)
    places = np.einsum("nc,ncd->nd", weights, vertices[triangles[chosen]])
    np.testing.assert_allclose(closest_points(places, vertices, triangles).distances, 0.0, atol=1e-9)


def test_a_mesh_of_one_triangle_is_enough():
    found = closest_points(np.array([[1.0, 1.0, 2.0]]), TRIANGLE, np.array([[0, 1, 2]]))
    assert found.distances == pytest.approx([2.0])
    assert found.triangles.tolist() == [0]
