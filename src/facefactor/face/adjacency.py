# SPDX-License-Identifier: Apache-2.0
"""Which vertices of a mesh hang together (numpy, scipy): edges, neighbours, parts."""

import numpy as np
from scipy import sparse


def triangle_sides(triangles: np.ndarray) -> np.ndarray:
    """(3F, 2) the sides of triangles (F, 3); a side that two triangles share is there twice."""
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


def triangle_edges(triangles: np.ndarray) -> np.ndarray:
    """(E, 2) the edges of triangles (F, 3), each once, low id first."""
    return np.unique(np.sort(triangle_sides(triangles), axis=1), axis=0)


def triangles_within(triangles: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The triangles of (F, 3) all of whose corners are among `ids`."""
    return triangles[np.isin(triangles, ids).all(axis=1)]


def adjacency_matrix(edges: np.ndarray, num_vertices: int) -> sparse.csr_matrix:
    """(V, V) symmetric: how often each pair of vertices is joined by an edge of (E, 2)."""
    both = np.concatenate([edges, edges[:, ::-1]])
    return sparse.csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(num_vertices, num_vertices))


def neighbour_average(edges: np.ndarray, num_vertices: int) -> sparse.csr_matrix:
    """(V, V) matrix that takes values to the means over each vertex's neighbours; zero rows for lone vertices."""
    links = adjacency_matrix(edges, num_vertices)
    valence = np.asarray(links.sum(axis=1)).ravel()
    return (sparse.diags(np.where(valence > 0, 1 / np.maximum(valence, 1), 0)) @ links).tocsr()


def graph_laplacian(edges: np.ndarray, num_vertices: int) -> sparse.csr_matrix:
    """Uniform Laplacian: (Δ x)_i is x_i minus the mean of its neighbours; zero rows for lone vertices."""
    has_neighbour = np.zeros(num_vertices)
    has_neighbour[edges.ravel()] = 1.0
    return (sparse.diags(has_neighbour) - neighbour_average(edges, num_vertices)).tocsr()
