# SPDX-License-Identifier: Apache-2.0
"""Normals of a mesh at its vertices, for numpy arrays and, with gradients, torch tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facefactor.arrays import Array, array_namespace, sum_at, unit_vectors

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def vertex_normals(
    vertices: Float[Array, "*batch vertices 3"], triangles: Int[Array, "faces 3"]
) -> Float[Array, "*batch vertices 3"]:
    """Average the normals of the triangles around each vertex, weighted by their area.

    Args:
        vertices: in any frame; the normals are in the same.
        triangles: counter-clockwise seen from outside.

    Returns:
        Unit vectors that point outside; zero at a vertex without triangles.
    """
    xp = array_namespace(vertices)
    corners = [triangles[:, corner] for corner in range(3)]
    first, second, third = (xp.take(vertices, corner, axis=-2) for corner in corners)
    doubled_area_normals = xp.linalg.cross(second - first, third - first, axis=-1)
    return unit_vectors(sum(sum_at(doubled_area_normals, corner, vertices.shape[-2]) for corner in corners))
