# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy import sparse

from facefactor.face.adjacency import graph_laplacian, triangle_edges
from facefactor.face.build.registration import extend_smoothly, landmark_matrix, register, smoothness_matrix
from facefactor.face.closest import closest_points
from facefactor.face.normals import vertex_normals


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


def bumpy(points: np.ndarray) -> np.ndarray:
    """A smooth deformation of up to 4 mm."""
    x, y, z = points.T / 20.0
    return points + np.stack([2.5 * np.sin(y + 0.3), 2.0 * np.cos(1.3 * z), 2.5 * np.sin(x - z)], axis=1)


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
