# SPDX-License-Identifier: Apache-2.0
"""Carry scan-based shapes to our mesh: non-rigid registration and smooth extension.

The registration deforms our template onto another mesh by alternating closest points with a sparse linear solve
for displacements d that minimise

    Σ_i w_i ((v_i + d_i − c_i)·n_i)² + κ Σ_i w_i ‖v_i + d_i − c_i‖² + Σ_l ‖L(v + d) − p‖² w_l + s ‖Δ d‖²

where c_i, n_i are closest point and normal on the target, L reads landmarks off the template, Δ is the graph
Laplacian, and the stiffness s falls from round to round (after Amberg, Romdhani & Vetter 2007, with a Laplacian of
displacements in place of their affine stiffness).
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import factorized

from facefactor.face.adjacency import graph_laplacian
from facefactor.face.closest import closest_points
from facefactor.face.normals import vertex_normals

STIFFNESS = (300.0, 100.0, 40.0, 15.0, 6.0, 3.0, 1.5, 1.0)
ROUNDS_PER_STIFFNESS = 4
POINT_SHARE = 0.1
"""Weight κ of the distance along the surface against that across it."""
LANDMARK_WEIGHT = 4.0
MAX_DISTANCE_MM = 8.0
MIN_NORMAL_COSINE = 0.5


def landmark_matrix(vertex_ids: np.ndarray, weights: np.ndarray, num_vertices: int) -> sparse.csr_matrix:
    """(L, V) matrix that reads landmarks, given as (L, 3) vertex ids and barycentric weights, off vertices."""
    rows = np.repeat(np.arange(len(vertex_ids)), 3)
    return sparse.csr_matrix((weights.ravel(), (rows, vertex_ids.ravel())), shape=(len(vertex_ids), num_vertices))


def register(
    template: np.ndarray,
    triangles: np.ndarray,
    edges: np.ndarray,
    data_weights: np.ndarray,
    target: np.ndarray,
    target_triangles: np.ndarray,
    landmarks: sparse.csr_matrix,
    landmark_targets: np.ndarray,
    landmark_weights: np.ndarray,
) -> np.ndarray:
    """Deform a template onto a target that it is already aligned with.

    Args:
        template: (V, 3) mm.
        triangles: (F, 3) of the template, for its normals.
        edges: (E, 2) of the template.
        data_weights: (V,) how far each vertex may trust its closest point; 0 for hidden parts.
        target: (N, 3) mm.
        target_triangles: (M, 3).
        landmarks: (L, V).
        landmark_targets: (L, 3) mm.
        landmark_weights: (L,).

    Returns:
        (V, 3) the deformed template.
    """
    laplacian = graph_laplacian(edges, len(template))
    smooth = sparse.kron(laplacian.T @ laplacian, sparse.identity(3))
    lift = sparse.kron(landmarks, sparse.identity(3)).tocsr()
    weight_l = sparse.diags(np.repeat(LANDMARK_WEIGHT * landmark_weights, 3))
    target_normals = vertex_normals(target, target_triangles)
    current = template
    for stiffness in STIFFNESS:
        for _ in range(ROUNDS_PER_STIFFNESS):
            found = closest_points(current, target, target_triangles)
            normals = np.einsum("nc,ncd->nd", found.barycentrics, target_normals[target_triangles[found.triangles]])
            normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
            agrees = (normals * vertex_normals(current, triangles)).sum(1) > MIN_NORMAL_COSINE
            weights = data_weights * agrees * (found.distances < MAX_DISTANCE_MM)
            blocks = weights[:, None, None] * (normals[:, :, None] * normals[:, None, :] + POINT_SHARE * np.identity(3))
            data = sparse.bsr_matrix((blocks, np.arange(len(template)), np.arange(len(template) + 1)))
            system = data + lift.T @ weight_l @ lift + stiffness * smooth + 1e-6 * sparse.identity(3 * len(template))
            right = data @ (found.points - template).ravel() + lift.T @ (
                weight_l @ (landmark_targets - landmarks @ template).ravel()
            )
            current = template + factorized(system.tocsc())(right).reshape(-1, 3)
    return current


def extend_smoothly(
    values: np.ndarray, trust: np.ndarray, edges: np.ndarray, bending: float = 1.0, stretching: float = 0.3
) -> np.ndarray:
    """Keep trusted rows and continue them smoothly over the rest of the mesh.

    Minimises Σ_i trust_i ‖x_i − values_i‖² + bending ‖Δ x‖² + stretching Σ_edges ‖x_i − x_j‖²; the last term keeps
    the continuation from overshooting far from trusted rows.

    Args:
        values: (V, C); rows of zero trust are ignored.
        trust: (V,) non-negative.
        edges: (E, 2).
        bending: weight of the squared Laplacian.
        stretching: weight of the squared differences along edges.
    """
    system = sparse.diags(trust + 1e-9) + smoothness_matrix(edges, len(values), bending, stretching)
    return factorized(system.tocsc())(trust[:, None] * values)


def smoothness_matrix(edges: np.ndarray, num_vertices: int, bending: float, stretching: float) -> sparse.csr_matrix:
    """(V, V) quadratic form of bending ‖Δ x‖² + stretching Σ_edges ‖x_i − x_j‖²."""
    laplacian = graph_laplacian(edges, num_vertices)
    ends = (np.repeat(np.arange(len(edges)), 2), edges.ravel())
    difference = sparse.csr_matrix((np.tile([1.0, -1.0], len(edges)), ends), shape=(len(edges), num_vertices))
    return bending * laplacian.T @ laplacian + stretching * difference.T @ difference
