# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.transform import Rotation

from facefactor.face.build.registration import (
    extend_smoothly,
    fit_similarity,
    graph_laplacian,
    landmark_matrix,
    register,
    smoothness_matrix,
    vertex_normals,
)
from facefactor.face.closest import closest_points


def sphere(rings: int, segments: int, radius: float = 40.0) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and outward triangles of a sphere about the origin."""
    polar, around = np.meshgrid(
        np.linspace(0, np.pi, rings + 2)[1:-1], np.arange(segments) * 2 * np.pi / segments, indexing="ij"
    )
    body = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1)
    vertices = radius * np.concatenate([[[0, 0, 1.0]], body.reshape(-1, 3), [[0, 0, -1.0]]])
    ring = 1 + np.arange(rings * segments).reshape(rings, segments)
    after, last = np.roll(ring, -1, axis=1), len(vertices) - 1
    walls = np.stack([ring[:-1], ring[1:], after[1:], ring[:-1], after[1:], after[:-1]], axis=-1).reshape(-1, 3)
    top = np.stack([np.zeros(segments, int), ring[0], after[0]], axis=1)
    bottom = np.stack([np.full(segments, last), after[-1], ring[-1]], axis=1)
    return vertices, np.concatenate([top, walls, bottom])


def triangle_edges(triangles: np.ndarray) -> np.ndarray:
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return np.unique(np.sort(sides, axis=1), axis=0)


def bumpy(points: np.ndarray) -> np.ndarray:
    """A smooth deformation of up to 4 mm."""
    x, y, z = points.T / 20.0
    return points + np.stack([2.5 * np.sin(y + 0.3), 2.0 * np.cos(1.3 * z), 2.5 * np.sin(x - z)], axis=1)


@pytest.mark.parametrize("with_scale", [True, False])
def test_a_known_similarity_is_recovered(with_scale: bool):
    rng = np.random.default_rng(0)
    points, rotation = rng.normal(size=(30, 3)), Rotation.random(random_state=1).as_matrix()
    scale = 1.7 if with_scale else 1.0
    moved = scale * points @ rotation.T + [3.0, -4.0, 5.0]
    found = fit_similarity(points, moved, with_scale=with_scale)
    assert found.scale == pytest.approx(scale)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-9)
    np.testing.assert_allclose(found.apply(points), moved, atol=1e-9)


def test_no_similarity_near_the_found_one_fits_better():
    rng = np.random.default_rng(2)
    source, target, weights = rng.normal(size=(20, 3)), rng.normal(size=(20, 3)), rng.uniform(size=20)
    found = fit_similarity(source, target, weights)

    def cost(scale: float, rotation: np.ndarray, translation: np.ndarray) -> float:
        return float((weights * ((scale * source @ rotation.T + translation - target) ** 2).sum(axis=1)).sum())

    least = cost(found.scale, found.rotation, found.translation)
    for _ in range(50):
        turn = Rotation.from_rotvec(0.05 * rng.normal(size=3)).as_matrix()
        shift = 0.05 * rng.normal(size=3)
        assert cost(found.scale + 0.05 * rng.normal(), turn @ found.rotation, found.translation + shift) >= least


def test_a_mirrored_set_is_turned_and_never_mirrored():
    points = np.random.default_rng(3).normal(size=(30, 3))
    found = fit_similarity(points, points * [-1, 1, 1])
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)


def test_points_without_weight_do_not_count():
    points = np.random.default_rng(4).normal(size=(10, 3))
    target = points + np.array([1.0, 2.0, 3.0])
    target[0] = 1000.0
    weights = np.array([0.0] + [1.0] * 9)
    found = fit_similarity(points, target, weights)
    np.testing.assert_allclose(found.translation, [1.0, 2.0, 3.0], atol=1e-9)
    assert found.scale == pytest.approx(1.0)


def test_the_laplacian_is_a_vertex_less_its_neighbours_mean():
    edges = np.array([[0, 1], [1, 2], [1, 3]])
    values = np.array([1.0, 5.0, 2.0, 9.0, 7.0])  # the last vertex is alone
    expected = [1 - 5, 5 - (1 + 2 + 9) / 3, 2 - 5, 9 - 5, 0]
    np.testing.assert_allclose(graph_laplacian(edges, 5) @ values, expected)


def test_normals_of_a_sphere_point_outwards():
    vertices, triangles = sphere(20, 30)
    cosine = (vertex_normals(vertices, triangles) * vertices / 40.0).sum(axis=1)
    assert cosine.min() > 0.995  # facets of 9° and 12°


def test_landmarks_are_read_with_their_weights():
    matrix = landmark_matrix(np.array([[0, 1, 2], [3, 3, 1]]), np.array([[0.2, 0.3, 0.5], [0.5, 0.25, 0.25]]), 4)
    points = np.arange(12.0).reshape(4, 3)
    np.testing.assert_allclose(matrix @ points, [0.2 * points[0] + 0.3 * points[1] + 0.5 * points[2],
                                                 0.75 * points[3] + 0.25 * points[1]])  # fmt: skip


@pytest.fixture(scope="module")
def registered() -> dict[str, np.ndarray]:
    """A coarse sphere registered to a finer deformed one; a tenth of it may not look at the target."""
    template, triangles = sphere(16, 24)
    fine, target_triangles = sphere(40, 60)
    target = bumpy(fine)
    weights = np.where(template[:, 2] < -34, 0.0, 1.0)
    ids = np.array([0, 30, 100, 200, 250, 300])
    landmarks = sparse.csr_matrix((np.ones(6), (np.arange(6), ids)), shape=(6, len(template)))
    places = bumpy(template[ids])
    result = register(
        template, triangles, triangle_edges(triangles), weights, target, target_triangles, landmarks, places, np.ones(6)
    )
    return {
        "template": template, "target": target, "target_triangles": target_triangles, "result": result,
        "weights": weights, "ids": ids, "places": places,
    }  # fmt: skip


def test_registration_puts_the_template_onto_the_target(registered: dict):
    found = closest_points(registered["result"], registered["target"], registered["target_triangles"])
    trusted = found.distances[registered["weights"] > 0]
    # Before it is up to 4 mm away; what is left is stiffness on facets of 8 mm.
    assert trusted.mean() < 0.1
    assert trusted.max() < 0.5


def test_registration_brings_landmarks_to_their_targets(registered: dict):
    distance = np.linalg.norm(registered["result"][registered["ids"]] - registered["places"], axis=1)
    start = np.linalg.norm(registered["template"][registered["ids"]] - registered["places"], axis=1)
    assert start.mean() > 2.0
    assert distance.max() < 0.5


def test_registration_keeps_correspondence_and_continues_where_it_may_not_look(registered: dict):
    truth, seen = bumpy(registered["template"]), registered["weights"] > 0
    error, start = (np.linalg.norm(each - truth, axis=1) for each in (registered["result"], registered["template"]))
    # Along the surface only stiffness and six landmarks say where a vertex belongs.
    assert np.median(error[seen]) < 0.5 * np.median(start[seen])
    # Where it may not look it goes on as its surroundings do, no farther off than it began.
    assert error[~seen].max() < start.max()


def test_extension_keeps_trusted_rows_and_ignores_the_others():
    vertices, triangles = sphere(16, 24)
    values = bumpy(vertices) - vertices
    trust = np.where(vertices[:, 2] > -10, 1e4, 0.0)
    spoiled = np.where(trust[:, None] > 0, values, 1e6)
    extended = extend_smoothly(spoiled, trust, triangle_edges(triangles))
    np.testing.assert_allclose(extended[trust > 0], values[trust > 0], atol=1e-3)  # of 4 mm
    assert np.abs(extended).max() < 1.5 * np.abs(values[trust > 0]).max()  # and no overshooting


def test_a_constant_is_continued_as_a_constant():
    vertices, triangles = sphere(10, 16)
    trust = np.zeros(len(vertices))
    trust[3] = 1.0
    extended = extend_smoothly(np.full((len(vertices), 2), 5.0), trust, triangle_edges(triangles))
    # 1e-4: the system holds 1e-9 of zero at every vertex so that it can be solved.
    np.testing.assert_allclose(extended, 5.0, rtol=1e-4)


def test_extension_of_a_chain_is_the_straight_line_between_its_ends():
    edges = np.stack([np.arange(10), np.arange(1, 11)], axis=1)
    trust = np.zeros(11)
    trust[[0, 10]] = 1e6
    values = np.zeros((11, 1))
    values[10] = 1.0
    extended = extend_smoothly(values, trust, edges, bending=0.0, stretching=1.0)
    np.testing.assert_allclose(extended[:, 0], np.linspace(0, 1, 11), atol=1e-4)


def test_smoothness_is_the_quadratic_form_it_says():
    edges = np.array([[0, 1], [1, 2], [2, 3], [0, 3], [1, 3]])
    x = np.random.default_rng(5).normal(size=4)
    bent = (graph_laplacian(edges, 4) @ x) ** 2
    stretched = (x[edges[:, 0]] - x[edges[:, 1]]) ** 2
    form = smoothness_matrix(edges, 4, bending=2.0, stretching=0.7)
    assert x @ form @ x == pytest.approx(2.0 * bent.sum() + 0.7 * stretched.sum())
