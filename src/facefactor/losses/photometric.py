# SPDX-License-Identifier: Apache-2.0
"""How far the rendered face's colours are from the photo's.

    E = Σ_v w_v ‖photo(u_v) − colour_v‖₂ / Σ_v w_v

over vertices, the unsquared distance of sRGB-encoded colours (ℓ2,1; MoFA, arXiv:1703.10580, eq. 8). Vertices that the
face model cannot explain (hair, glasses, a hand) lose weight by `explained_share`, which is for torch tensors; the rest
is for numpy arrays too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from facefactor.arrays import Array, array_namespace, sum_at, without_gradient

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

DISTANCE_FLOOR = 1e-3
"""Added in quadrature, so that the distance has a gradient at zero."""


def colour_distance(
    photo_srgb: Float[Array, "*batch vertices 3"], rendered_srgb: Float[Array, "*batch vertices 3"]
) -> Float[Array, "*batch vertices"]:
    """Euclidean distance of colours at each vertex, in sRGB units of [0, 1]."""
    xp = array_namespace(photo_srgb)
    return xp.sqrt(xp.sum((photo_srgb - rendered_srgb) ** 2, axis=-1) + DISTANCE_FLOOR**2)


def photometric_loss(
    distance: Float[Array, "*batch vertices"], weights: Float[Array, "*batch vertices"]
) -> Float[Array, "*batch"]:
    """Weighted mean distance; zero where no vertex has weight."""
    xp = array_namespace(distance)
    return xp.sum(weights * distance, axis=-1) / xp.sum(weights, axis=-1).clip(min=1e-9)


def explained_share(
    distance: Float[Tensor, "batch vertices"], is_used: Bool[Tensor, "batch vertices"], tolerance: float
) -> Float[Tensor, "batch vertices"]:
    """How much the face model explains each vertex: 1 / (1 + (distance / s)²)², a robust weight without gradient.

    The scale s is `tolerance` times the median distance over used vertices of each face, so a photo that fits badly
    everywhere is not thrown away; a face of which no vertex is used keeps a finite scale.
    """
    import torch

    with torch.no_grad():
        used = torch.where(is_used, distance, distance.new_tensor(torch.nan))
        median = used.nanmedian(dim=-1, keepdim=True).values.nan_to_num(1.0)
        scale = tolerance * median.clamp_min(0.01)
        return (1 + (distance / scale).square()).reciprocal().square()


def projected_areas(
    positions_px: Float[Array, "batch vertices 2"], triangles: Int[Array, "faces 3"]
) -> Float[Array, "batch vertices"]:
    """Pixels that each vertex stands for: a third of the area of its front-facing triangles; no gradient.

    With these as weights the mean over vertices is a mean over pixels, although the mesh is finer at eyes and lips.
    """
    xp, positions_px = array_namespace(positions_px), without_gradient(positions_px)
    corners = [triangles[:, corner] for corner in range(3)]
    a, b, c = (xp.take(positions_px, corner, axis=-2) for corner in corners)
    edge_ab, edge_ac = b - a, c - a
    # y runs down, so triangles that face the viewer turn clockwise in the picture's axes.
    doubled = edge_ab[..., 1] * edge_ac[..., 0] - edge_ab[..., 0] * edge_ac[..., 1]
    share = doubled.clip(min=0.0)[..., None] / 6
    return sum(sum_at(share, corner, positions_px.shape[-2]) for corner in corners)[..., 0]
