# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy.sparse import csgraph, csr_matrix

from facefactor.face.build import mesh
from facefactor.face.build.makehuman import BaseMesh
from facefactor.face.build.regions import Regions

CUBE = np.array([[x, y, z] for z in (-1, 1) for y in (-1, 1) for x in (-1, 1)], dtype=float)
CUBE_QUADS = np.array([[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]])


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (size², 3) of a square at z = 0 and its quads."""
    x, y = np.meshgrid(np.arange(size, dtype=float), np.arange(size, dtype=float))
    index = np.arange(size * size).reshape(size, size)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1).reshape(-1, 4)
    return np.stack([x.ravel(), y.ravel(), np.zeros(size * size)], axis=1), quads


def random_affine(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.identity(3) + 0.3 * rng.normal(size=(3, 3)), 50 * rng.normal(size=3)


def helper_sphere() -> np.ndarray:
    """(72, 3) points spread evenly over a ball of 12 mm, as MakeHuman's eye helper."""
    index = np.arange(72) + 0.5
    polar, around = np.arccos(1 - 2 * index / 72), np.pi * (1 + 5**0.5) * index
    unit = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=1)
    return 12.0 * (unit - unit.mean(axis=0)) + [30.0, 700.0, 90.0]


def charts_of(quads: np.ndarray, count: int) -> np.ndarray:
    edges = mesh.quad_edges(quads)[0]
    graph = csr_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    return csgraph.connected_components(graph, directed=False)[1]


def test_a_cube_becomes_what_catmull_and_clark_wrote():
    matrix, quads = mesh.catmull_clark(CUBE_QUADS, 8)
    refined = matrix @ CUBE
    assert refined.shape == (8 + 12 + 6, 3)
    assert quads.shape == (24, 4)
    # By hand: a corner goes to 5/9 of itself, an edge's middle (1, 1, 0) to 3/4 of it, a face's centre stays.
    np.testing.assert_allclose(refined[:8], CUBE * 5 / 9)
    np.testing.assert_allclose(np.sort(np.abs(refined[8:20]), axis=1), np.tile([0, 0.75, 0.75], (12, 1)), atol=1e-12)
    np.testing.assert_allclose(refined[20:], CUBE[CUBE_QUADS].mean(axis=1))


def test_borders_become_cubic_splines():
    points, quads = grid(3)
    points[1, 1] = -1.0  # the middle of the lower border is pulled down
    matrix, _ = mesh.catmull_clark(quads, 9)
    refined = matrix @ points
    edges = mesh.quad_edges(quads)[0].tolist()
    np.testing.assert_allclose(refined[1], [1.0, -0.75, 0.0])  # 3/4 of itself and 1/8 of each neighbour
    np.testing.assert_allclose(refined[9 + edges.index([0, 1])], [0.5, -0.5, 0.0])  # the border edge's mid-point
    np.testing.assert_allclose(refined[0], 0.75 * points[0] + 0.125 * (points[1] + points[3]))


def test_subdivision_is_a_partition_of_unity_and_commutes_with_affine_maps():
    points, quads = grid(5)
    points[:, 2] = np.random.default_rng(0).normal(size=25)
    matrix, _ = mesh.catmull_clark(quads, 25)
    np.testing.assert_allclose(np.asarray(matrix.sum(axis=1)), 1.0)
    assert matrix.min() >= 0
    linear, shift = random_affine(1)
    np.testing.assert_allclose(matrix @ (points @ linear.T + shift), (matrix @ points) @ linear.T + shift)


def test_a_plane_stays_plane_and_a_regular_grid_stays_regular_inside():
    points, quads = grid(6)
    matrix, refined_quads = mesh.catmull_clark(quads, 36)
    refined = matrix @ points
    assert np.abs(refined[:, 2]).max() == 0
    inner = ((points[:, :2] > 0) & (points[:, :2] < 5)).all(axis=1)
    np.testing.assert_allclose(refined[:36][inner], points[inner], atol=1e-12)
    corners = refined[refined_quads]
    turned = np.cross(corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0])[:, 2]
    assert (turned > 0).all()  # every small quad turns as its parent does


def test_a_vertex_without_a_quad_stays():
    points, quads = grid(2)
    matrix, _ = mesh.catmull_clark(quads, 5)
    lonely = np.concatenate([points, [[9.0, 8.0, 7.0]]])
    np.testing.assert_allclose((matrix @ lonely)[4], [9.0, 8.0, 7.0])


def test_splitting_without_smoothing_keeps_corners_and_takes_means():
    points, quads = grid(3)
    values, refined = mesh.refine_linearly(quads, points[:, :2])
    np.testing.assert_array_equal(values[:9], points[:, :2])
    np.testing.assert_allclose(values[refined].mean(axis=(0, 1)), points[:, :2].mean(axis=0))
    sizes = np.ptp(values[refined], axis=1)
    np.testing.assert_allclose(sizes, 0.5)


def test_quads_split_into_triangles_of_the_same_turn_and_area():
    points, quads = grid(3)
    corners = points[mesh.triangulate(quads)]
    areas = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2]
    np.testing.assert_allclose(areas, 0.5)


def test_edges_are_listed_once_and_found_again_by_the_quads_sides():
    _, quads = grid(4)
    edges, of_quad = mesh.quad_edges(quads)
    assert len(edges) == 2 * 4 * 3
    assert len(np.unique(edges, axis=0)) == len(edges)
    for side in range(4):
        ends = np.sort(np.stack([quads[:, side], quads[:, (side + 1) % 4]], axis=1), axis=1)
        np.testing.assert_array_equal(edges[of_quad[:, side]], ends)


def test_an_eyeball_is_a_ball_with_rings_at_pupil_and_iris():
    helper = helper_sphere()
    vertices, quads = mesh.eyeball(helper)
    centre = helper.mean(axis=0)
    arms = vertices - centre
    radius = np.linalg.norm(arms, axis=1)
    assert vertices.shape == (481, 3)
    np.testing.assert_allclose(radius, radius[0])
    angles = np.arccos(np.clip(arms[:, 2] / radius, -1, 1))
    for border in (mesh.PUPIL_RAD, mesh.IRIS_RAD):
        assert (np.abs(angles - border) < 1e-9).sum() == mesh.EYE_SEGMENTS
        assert mesh.within_angle(border).tolist() == np.flatnonzero(angles <= border + 1e-9).tolist()
    assert np.unique(quads).size == 481
    np.testing.assert_allclose(vertices[mesh.EQUATOR].mean(axis=0), centre)


def test_an_eyeballs_quads_face_outwards_and_leave_only_the_back_open():
    vertices, quads = mesh.eyeball(helper_sphere())
    corners = vertices[mesh.triangulate(quads)]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outwards = corners.mean(axis=1) - vertices[mesh.EQUATOR].mean(axis=0)
    assert ((normals * outwards).sum(axis=1) > 0).all()
    edges, of_quad = mesh.quad_edges(quads)
    border = edges[np.bincount(of_quad.ravel()) == 1]
    assert set(border.ravel()) == set(range(481 - mesh.EYE_SEGMENTS, 481))


def test_the_head_consists_of_its_parts(topology: mesh.HeadTopology):
    parts = np.concatenate(list(topology.parts.values()))
    assert np.array_equal(np.sort(parts), np.arange(topology.num_vertices))
    assert {len(topology.parts[eye]) for eye in mesh.EYE_PARTS} == {481}
    assert np.unique(topology.quads).size == topology.num_vertices
    assert np.unique(topology.uv_quads).size == len(topology.uv)
    assert topology.quads.shape == topology.uv_quads.shape
    assert len(topology.triangles) == 2 * len(topology.quads)
    assert (topology.base_ids[topology.parts["left_eye"]] == -1).all()
    assert (topology.base_ids[topology.parts["skin"]] >= 0).all()


def test_positions_are_carried_as_affine_maps_carry_them(topology: mesh.HeadTopology, base: BaseMesh):
    np.testing.assert_allclose(np.asarray(topology.transfer.sum(axis=1)), 1.0, atol=1e-9)
    linear, shift = random_affine(2)
    head = topology.transfer @ base.vertices
    carried = topology.transfer @ (base.vertices @ linear.T + shift)
    # 1e-6 mm of 1700 mm: double precision through a pseudo-inverse.
    np.testing.assert_allclose(carried, head @ linear.T + shift, atol=1e-6)


def test_an_eyeball_follows_the_least_squares_affine_map_of_its_helper(topology: mesh.HeadTopology, base: BaseMesh):
    helper = np.unique(base.groups["helper-l-eye"])
    moved = np.zeros_like(base.vertices)
    moved[helper] = np.random.default_rng(3).normal(size=(len(helper), 3))
    displaced = (topology.transfer @ moved)[topology.parts["left_eye"]]
    ones = np.ones((len(helper), 1))
    fit = np.linalg.lstsq(np.hstack([base.vertices[helper], ones]), moved[helper], rcond=None)[0]
    ball = (topology.transfer @ base.vertices)[topology.parts["left_eye"]]
    np.testing.assert_allclose(displaced, np.hstack([ball, np.ones((481, 1))]) @ fit, atol=1e-6)
    others = np.setdiff1d(np.arange(topology.num_vertices), topology.parts["left_eye"])
    assert np.abs((topology.transfer @ moved)[others]).max() == 0


def test_the_neck_ends_in_a_plane(topology: mesh.HeadTopology, base: BaseMesh):
    head = topology.transfer @ base.vertices
    edges, of_quad = mesh.quad_edges(topology.quads)
    border = np.unique(edges[np.bincount(of_quad.ravel()) == 1])
    rim = border[np.isin(border, topology.parts["skin"])]
    height = head[rim, 1]
    at_neck = rim[height < mesh.NECK_CUT_MM + 1]
    assert len(at_neck) > 20
    np.testing.assert_allclose(head[at_neck, 1], mesh.NECK_CUT_MM, atol=1e-9)
    assert head[:, 1].min() == pytest.approx(mesh.NECK_CUT_MM)


def test_charts_stay_in_the_unit_square_and_apart(topology: mesh.HeadTopology):
    uv, chart = topology.uv, charts_of(topology.uv_quads, len(topology.uv))
    assert uv.min() >= 0.0
    assert uv.max() <= 1.0
    low = np.array([uv[chart == k].min(axis=0) for k in range(chart.max() + 1)])
    high = np.array([uv[chart == k].max(axis=0) for k in range(chart.max() + 1)])
    for k in range(len(low)):
        for other in range(k):
            gap = np.maximum(low[k] - high[other], low[other] - high[k])
            assert gap.max() >= 0.019, (k, other)  # twice the margin of 1 %


def test_packing_keeps_each_charts_proportions(topology: mesh.HeadTopology):
    chart = charts_of(topology.uv_quads, len(topology.uv))
    edges = mesh.quad_edges(topology.uv_quads)[0]
    before = np.linalg.norm(topology.uv_makehuman[edges[:, 0]] - topology.uv_makehuman[edges[:, 1]], axis=1)
    after = np.linalg.norm(topology.uv[edges[:, 0]] - topology.uv[edges[:, 1]], axis=1)
    for k in range(chart.max() + 1):
        inside = (chart[edges[:, 0]] == k) & (before > 0)
        np.testing.assert_allclose(after[inside] / before[inside], np.median(after[inside] / before[inside]), rtol=1e-6)


def test_the_face_is_upright_in_the_texture(topology: mesh.HeadTopology, template: np.ndarray, regions: Regions):
    uv = np.zeros((topology.num_vertices, 2))
    uv[topology.quads.ravel()] = topology.uv[topology.uv_quads.ravel()]
    seams = np.concatenate([regions.lip_seam, regions.left_lid_margin, regions.right_lid_margin])  # in two charts
    one_chart = np.setdiff1d(regions.outer_skin, seams)
    x, y, z = template[one_chart].T
    front = one_chart[(z > 20) & (np.abs(x) < 30) & (y > -100)]
    for axis in range(2):
        assert np.corrcoef(template[front, axis], uv[front, axis])[0, 1] > 0.9
