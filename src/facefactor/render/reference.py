# SPDX-License-Identifier: Apache-2.0
"""The rasteriser again, in a few lines of plain torch: slow, memory-hungry, and easy to believe.

Every triangle is tried at every pixel. The screen-space weights λ of pixel p solve Σ λ_i v_i = p, Σ λ_i = 1; the rest
is as in `rasterise`. Tests compare the two; points exactly on an edge belong to both of its triangles here.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def rasterise_reference(
    vertices_px: Float[Tensor, "batch vertices 2"],
    depth_mm: Float[Tensor, "batch vertices"],
    triangles: Int[Tensor, "faces 3"],
    height: int,
    width: int,
    *,
    cull_back_faces: bool = True,
) -> tuple[Int[Tensor, "batch height width"], Float[Tensor, "batch height width 3"]]:
    """Find the nearest triangle at each pixel; arguments and results as in `rasterise`, for proper triangles only."""
    results = [
        _rasterise_one(vertices, depth, triangles, height, width, cull_back_faces)
        for vertices, depth in zip(vertices_px, depth_mm, strict=True)
    ]
    triangle_ids, barycentrics = zip(*results, strict=True)
    return torch.stack(triangle_ids), torch.stack(barycentrics)


def _rasterise_one(
    vertices_px: Float[Tensor, "vertices 2"],
    depth_mm: Float[Tensor, "vertices"],
    triangles: Int[Tensor, "faces 3"],
    height: int,
    width: int,
    cull_back_faces: bool,
) -> tuple[Int[Tensor, "height width"], Float[Tensor, "height width 3"]]:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack((columns + 0.5, rows + 0.5, torch.ones_like(rows)), dim=-1).reshape(-1, 3).to(vertices_px)
    corners = torch.nn.functional.pad(vertices_px[triangles], (0, 1), value=1.0)  # each row is x, y, 1
    screen_weights = pixels @ torch.linalg.inv(corners)
    near_weights = screen_weights / depth_mm[triangles][:, None, :]
    nearness = near_weights.sum(-1)
    is_hit = (screen_weights >= 0.0).all(-1)
    if cull_back_faces:
        is_hit &= (torch.linalg.det(corners) < 0.0)[:, None]
    nearest, face = torch.where(is_hit, nearness, torch.zeros_like(nearness)).max(0)
    is_covered = nearest > 0.0
    chosen = near_weights[face, torch.arange(len(pixels))] / nearest.clamp_min(torch.finfo(nearest.dtype).tiny)[:, None]
    triangle_ids = torch.where(is_covered, face, -torch.ones_like(face)).reshape(height, width)
    return triangle_ids, (chosen * is_covered[:, None]).reshape(height, width, 3)
