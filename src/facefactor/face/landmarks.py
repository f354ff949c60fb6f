# SPDX-License-Identifier: Apache-2.0
"""Landmarks read off the mesh, in torch: fixed points of the surface, and the contour that slides with the view."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def read_points(
    vertices: Float[Tensor, "batch vertices 3"],
    corners: Int[Tensor, "landmarks 3"],
    weights: Float[Tensor, "landmarks 3"],
) -> Float[Tensor, "batch landmarks 3"]:
    """Points fixed in triangles.

    Args:
        vertices: any frame and unit.
        corners: vertex ids of each point's triangle.
        weights: barycentric weights, each row summing to one.
    """
    return torch.einsum("blkc,lk->blc", vertices[:, corners], weights)
