# SPDX-License-Identifier: Apache-2.0
"""How near the nearest surface is at each pixel, for batches on an accelerator: a z-buffer of depths alone (torch).

The rule is that of `rasterise.py`, whose kernel runs on the CPU: a pixel is covered when its centre lies in a
front-facing triangle, and the depth there is 1 / Σ_j (λ_j / d_j). All triangles of about one size are tried at once on
a window of pixels that holds the largest of them; the nearest wins by an atomic maximum of 1 / depth, whose answer does
not depend on the order. The depth test of training needs no more, and stays where the gradients are computed.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from facefactor.render.rasterise import MIN_DEPTH_MM

WINDOWS_PX = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
"""Sides of the windows; a triangle that is larger than the last, many times a training crop, is left out."""
PIXELS_AT_ONCE = 1 << 24
"""Pixels of windows that are tried together, about 64 MB for each number that is kept of them."""


@torch.no_grad()
def nearest_depth_mm(
    vertices_px: Float[Tensor, "batch vertices 2"],
    depth_mm: Float[Tensor, "batch vertices"],
    triangles: Int[Tensor, "faces 3"],
    height: int,
    width: int,
) -> Float[Tensor, "batch height width"]:
    """Find the depth of the nearest front-facing triangle at each pixel's centre; infinite where there is none.

    Args:
        vertices_px: x right and y down, pixel centres at half-integers; may lie outside the picture.
        depth_mm: distance along the camera's axis. A triangle with a corner behind the camera, or with a corner that
            is not finite, is left out.
        triangles: counter-clockwise seen from outside.
        height: of the pictures, pixels.
        width: of the pictures, pixels.
    """
    corners, depths = vertices_px[:, triangles], depth_mm[:, triangles]
    low, high = corners.amin(dim=2), corners.amax(dim=2)
    limits = torch.tensor([width, height], device=low.device)
    first = (low - 0.5).ceil().clamp_min(0)
    size = ((high - 0.5).floor() + 1).minimum(limits) - first
    is_drawn = (size.amin(dim=-1) > 0) & (_doubled_area(corners) < 0) & (depths.amin(dim=2) >= MIN_DEPTH_MM)
    is_drawn &= torch.isfinite(depths.sum(dim=2) + low.sum(dim=-1) + high.sum(dim=-1))
    entry, face = is_drawn.nonzero(as_tuple=True)
    corners, depths, first = corners[entry, face], depths[entry, face], first[entry, face]
    largest = size[entry, face].amax(dim=-1)

    nearness = torch.zeros(len(vertices_px) * height * width, dtype=depth_mm.dtype, device=depth_mm.device)
    smaller, most = 0, int(largest.max()) if len(largest) else 0
    for window in WINDOWS_PX:
        if smaller >= most:
            break
        chosen = ((largest > smaller) & (largest <= window)).nonzero()[:, 0]
        for some in chosen.split(max(1, PIXELS_AT_ONCE // window**2)):
            _draw(nearness, entry[some], corners[some], depths[some], first[some], window, height, width)
        smaller = window
    return nearness.reciprocal().reshape(-1, height, width)


def _draw(
    nearness: Float[Tensor, " pixels"],
    entry: Int[Tensor, " some"],
    corners: Float[Tensor, "some 3 2"],
    depths: Float[Tensor, "some 3"],
    first: Float[Tensor, "some 2"],
    window: int,
    height: int,
    width: int,
) -> None:
    """Draw triangles into the pixels of a square window each, whose first pixel is given."""
    steps = torch.arange(window, device=first.device)
    column = (first[:, :1] + steps)[:, None, :]
    row = (first[:, 1:] + steps)[:, :, None]
    x, y = column + 0.5, row + 0.5
    edge_sum, near_sum = torch.zeros_like(x + y), torch.zeros_like(x + y)
    is_inside = (column < width) & (row < height)
    for corner in range(3):
        (ax, ay), (bx, by) = (corners[:, (corner + step) % 3, :, None, None].unbind(1) for step in (1, 2))
        edge = (bx - ax) * (ay - y) - (by - ay) * (ax - x)  # positive inside, as y runs down
        is_inside &= edge >= 0
        edge_sum += edge
        near_sum += edge / depths[:, corner, None, None]
    near = torch.where(is_inside & (near_sum > 0), near_sum / edge_sum, 0.0)
    pixel = (entry[:, None, None] * height + row.long().clamp_max(height - 1)) * width
    pixel = pixel + column.long().clamp_max(width - 1)
    nearness.scatter_reduce_(0, pixel.flatten(), near.flatten(), "amax")


def _doubled_area(corners: Float[Tensor, "batch faces 3 2"]) -> Float[Tensor, "batch faces"]:
    """Twice the signed area; negative for a triangle that runs counter-clockwise for the viewer, as y runs down."""
    ab, ac = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    return ab[..., 0] * ac[..., 1] - ac[..., 0] * ab[..., 1]
