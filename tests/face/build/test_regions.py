# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from facefactor.face.build import regions as region_steps
from facefactor.face.build.mesh import EYE_PARTS, HeadTopology
from facefactor.face.build.regions import Regions, divide_at_slit, mirror_vertices, open_slit, walk_loop


def ring_edges(ids: np.ndarray) -> np.ndarray:
    return np.stack([ids, np.roll(ids, -1)], axis=1)


def almond(count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A lid-shaped loop: its ids in order, and positions (count, 3) on an ellipse 30 mm wide and 12 mm high."""
    angle = np.arange(count) * 2 * np.pi / count
    return np.arange(count), np.stack([15 * np.cos(angle), 6 * np.sin(angle), np.zeros(count)], axis=1)


def test_a_loop_is_walked_along_its_edges():
    order = np.random.default_rng(0).permutation(12)
    edges = np.concatenate([ring_edges(order), [[order[0], 20], [21, 20]]])  # and edges that lead away
    loop = walk_loop(np.sort(order), edges)
    assert sorted(loop) == sorted(order)
    start = int(np.flatnonzero(order == loop[0])[0])
    turned = np.roll(order, -start)
    assert loop.tolist() in (turned.tolist(), [turned[0], *turned[:0:-1]])


def test_a_chain_is_no_loop():
    with pytest.raises(ValueError, match="two neighbours"):
        walk_loop(np.arange(5), ring_edges(np.arange(5))[:-1])


def test_a_loop_with_a_shortcut_is_no_simple_loop():
    with pytest.raises(ValueError, match="two neighbours"):
        walk_loop(np.arange(6), np.concatenate([ring_edges(np.arange(6)), [[0, 3]]]))


def test_two_loops_are_not_one():
    edges = np.concatenate([ring_edges(np.arange(4)), ring_edges(np.arange(4, 9))])
    with pytest.raises(ValueError, match="several loops; the first has 4 of 9"):
        walk_loop(np.arange(9), edges)


@pytest.mark.parametrize("start", [0, 5, 17])
@pytest.mark.parametrize("step", [1, -1])
def test_a_slit_opens_into_an_upper_and_a_lower_border(start: int, step: int):
    loop, vertices = almond()
    slit = open_slit(np.roll(loop, start)[::step], vertices)
    assert set(slit.upper) == {i for i in loop if vertices[i, 1] > 1e-9}
    assert set(slit.lower) == {i for i in loop if vertices[i, 1] < -1e-9}
    assert (np.diff(vertices[slit.upper, 0]) > 0).all()


def test_each_upper_vertex_meets_the_lower_one_below_it():
    loop, vertices = almond()
    slit = open_slit(np.roll(loop, 7), vertices)
    landing = slit.lower_at_upper @ vertices[np.roll(loop, 7)]
    np.testing.assert_allclose(slit.lower_at_upper.sum(axis=1), 1.0)
    assert (slit.lower_at_upper >= 0).all()
    # The two borders of an ellipse are mirror images, so equal shares of their lengths lie above each other.
    np.testing.assert_allclose(landing, vertices[slit.upper] * [1, -1, 1], atol=1e-9)


def test_borders_of_unequal_numbers_are_paired_by_length():
    upper = np.array([[x, 5.0 - abs(x - 5), 0.0] for x in (1.0, 2.5, 5.0, 7.5, 9.0)])
    lower = np.array([[7.0, -1.0, 0.0], [3.0, -1.0, 0.0]])
    vertices = np.concatenate([[[0.0, 0.0, 0.0]], upper, [[10.0, 0.0, 0.0]], lower])
    slit = open_slit(np.arange(9), vertices)
    assert slit.upper.tolist() == [1, 2, 3, 4, 5]
    assert slit.lower.tolist() == [8, 7]
    middle = slit.lower_at_upper[2] @ vertices
    np.testing.assert_allclose(middle, [5.0, -1.0, 0.0], atol=1e-9)  # half way round is the middle


def test_skin_is_divided_by_the_border_that_is_nearer_along_the_surface():
    # Two chains of skin hang at the lips; the upper one is bent down until it touches the lower one through the air.
    loop, vertices = almond()
    upper_tip, lower_tip = np.array([[0.0, -20.0, 1.0], [0.0, -20.0, 0.0]])
    upper_id, lower_id = 24, 25
    vertices = np.concatenate([vertices, [upper_tip, lower_tip]])
    top, bottom = 6, 18  # the highest and the lowest place of the loop
    edges = np.concatenate([ring_edges(loop), [[top, upper_id], [bottom, lower_id]]])
    upper, lower = divide_at_slit(np.array([upper_id, lower_id]), open_slit(loop, vertices), vertices, edges)
    assert upper.tolist() == [upper_id]
    assert lower.tolist() == [lower_id]


def test_a_symmetric_mesh_is_its_own_mirror_image():
    half = np.random.default_rng(0).uniform(1, 50, (20, 3))
    vertices = np.concatenate([half, half * [-1, 1, 1], [[0.0, 3.0, 4.0]]])
    partner = mirror_vertices(vertices)
    assert partner.tolist() == [*range(20, 40), *range(20), 40]


def test_a_lopsided_mesh_is_refused_with_its_distance():
    with pytest.raises(ValueError, match=r"10\.00 mm off"):
        mirror_vertices(np.array([[30.0, 0.0, 0.0], [-30.0, 0.0, 0.0], [-40.0, 0.0, 0.0]]))


def test_the_heads_vertices_have_partners(template: np.ndarray):
    partner = mirror_vertices(template)
    assert np.array_equal(partner[partner], np.arange(len(template)))


def test_the_regions_of_the_head_lie_where_they_should(template: np.ndarray, regions: Regions, topology: HeadTopology):
    skin = set(topology.parts["skin"].tolist())
    for name, ids in vars(regions).items():
        assert len(ids) > 10, name
        assert len(np.unique(ids)) == len(ids), name
        assert set(ids.tolist()) <= skin, name
    assert template[regions.left_lid_margin, 0].min() > 5 > -5 > template[regions.right_lid_margin, 0].max()
    assert template[regions.left_socket, 0].min() > 0 > template[regions.right_socket, 0].max()
    assert template[regions.lip_seam, 1].max() < -40  # mm below the eyes
    assert np.abs(template[regions.ears, 0]).min() > 50  # mm from the middle
    hidden = np.concatenate([regions.mouth_lining, regions.left_socket, regions.right_socket])
    assert not np.isin(hidden, regions.outer_skin).any()


def test_loops_run_along_edges_and_left_mirrors_right(template: np.ndarray, regions: Regions, topology: HeadTopology):
    edges = {tuple(edge) for edge in topology.edges.tolist()}
    for loop in (regions.lip_seam, regions.left_lid_margin, regions.right_lid_margin):
        assert {tuple(sorted(edge)) for edge in ring_edges(loop).tolist()} <= edges
    partner = mirror_vertices(template)
    assert set(partner[regions.left_lid_margin]) == set(regions.right_lid_margin)
    assert set(partner[regions.left_socket]) == set(regions.right_socket)
    assert set(partner[regions.lip_seam]) == set(regions.lip_seam)


def test_lid_margins_surround_the_iris_of_their_eye(template: np.ndarray, regions: Regions, topology: HeadTopology):
    for eye, loop in zip(EYE_PARTS, (regions.left_lid_margin, regions.right_lid_margin), strict=True):
        pole = template[topology.parts[eye][0]]
        low, high = template[loop].min(axis=0), template[loop].max(axis=0)
        assert (low[:2] < pole[:2]).all()
        assert (pole[:2] < high[:2]).all()


def test_texture_masks_are_shares(topology: HeadTopology):
    ears = region_steps.texture_mask(topology, "ears")
    assert ears.shape == (topology.num_vertices,)
    assert ears.min() >= 0
    assert ears.max() <= 1
    assert 0.05 < (ears > 0.5).mean() < 0.4
