# SPDX-License-Identifier: Apache-2.0
import numpy as np

from facefactor.face.adjacency import (
    adjacency_matrix,
    graph_laplacian,
    neighbour_average,
    triangle_edges,
    triangle_sides,
    triangles_within,
)

TWO_TRIANGLES = np.array([[0, 1, 2], [2, 1, 3]])
"""A square of four vertices, cut from 1 to 2."""


def test_the_laplacian_is_a_vertex_less_its_neighbours_mean():
    edges = np.array([[0, 1], [1, 2], [1, 3]])
    values = np.array([1.0, 5.0, 2.0, 9.0, 7.0])  # the last vertex is alone
    expected = [1 - 5, 5 - (1 + 2 + 9) / 3, 2 - 5, 9 - 5, 0]
    np.testing.assert_allclose(graph_laplacian(edges, 5) @ values, expected)


def test_each_edge_is_named_once_and_each_side_by_its_triangle():
    assert triangle_edges(TWO_TRIANGLES).tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]
    sides = np.sort(triangle_sides(TWO_TRIANGLES), axis=1)
    assert len(sides) == 6
    assert (sides == [1, 2]).all(axis=1).sum() == 2


def test_adjacency_counts_how_often_vertices_are_joined():
    matrix = adjacency_matrix(triangle_sides(TWO_TRIANGLES), 5).toarray()
    expected = np.zeros((5, 5))
    for a, b, count in ((0, 1, 1), (0, 2, 1), (1, 2, 2), (1, 3, 1), (2, 3, 1)):
        expected[a, b] = expected[b, a] = count
    np.testing.assert_array_equal(matrix, expected)


def test_averages_are_over_neighbours_and_nothing_comes_to_a_lone_vertex():
    average = neighbour_average(triangle_edges(TWO_TRIANGLES), 5)
    np.testing.assert_allclose(average @ np.array([3.0, 6.0, 9.0, 30.0, 7.0]), [7.5, 14.0, 13.0, 7.5, 0.0])


def test_triangles_are_within_when_all_their_corners_are():
    assert triangles_within(TWO_TRIANGLES, np.array([1, 2, 3])).tolist() == [[2, 1, 3]]
    assert len(triangles_within(TWO_TRIANGLES, np.array([0, 1]))) == 0
