# SPDX-License-Identifier: Apache-2.0
"""FaceCode to vertices and albedo: the linear face model in torch, differentiable and batched.

    V(α, δ) = mean + Σ_k α_k shape_k + Σ_j δ_j (expression_j + Σ_k α_k blink_jk)
    A(β)    = exp(log_mean + Σ_k β_k reflectance_k)

after MoFA (arXiv:1703.10580, eqs. 1–2), with the logarithm of albedo in place of albedo, and blinks that close on
every identity. Geometry is native (V vertices); `MorphableFace.subdivide` refines it to the S vertices that the full
albedo has. The first V of the S are the native ones.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.face.albedo import albedo_from_log
from facefactor.face.linear_bases import BLINK_INDICES, bound_mouth_close
from facefactor.face.model import FaceModel


class MorphableFace(nn.Module):
    """Holds the bases of a face model as buffers; each method is one formula.

    Args:
        model: the face model.
        native_albedo: keep only the albedo of the native vertices, a quarter of the work, for training and fitting.
    """

    mean: Tensor
    shape_basis: Tensor
    expression_basis: Tensor
    blink_vertices: Tensor
    blink_basis: Tensor
    log_albedo_mean: Tensor
    reflectance_basis: Tensor
    subdivision: Tensor

    def __init__(self, model: FaceModel, native_albedo: bool = False) -> None:
        super().__init__()
        count = model.num_vertices if native_albedo else model.num_subdivided
        for name in ("mean", "shape_basis", "expression_basis", "blink_vertices", "blink_basis"):
            self._hold(name, getattr(model, name))
        self._hold("log_albedo_mean", model.log_albedo_mean[:count])
        self._hold("reflectance_basis", model.reflectance_basis[:, :count])
        coordinates = model.subdivision.tocoo()
        indices = torch.from_numpy(np.stack([coordinates.row, coordinates.col]).astype(np.int64))
        values = torch.from_numpy(coordinates.data)
        matrix = torch.sparse_coo_tensor(indices, values, coordinates.shape, check_invariants=True)
        self.register_buffer("subdivision", matrix.coalesce(), persistent=False)

    def vertices(
        self, shape: Float[Tensor, "batch coeffs"], expression: Float[Tensor, "batch 52"]
    ) -> Float[Tensor, "batch vertices 3"]:
        """Place the native vertices.

        Args:
            shape: standard deviations.
            expression: ARKit weights in [0, 1].

        Returns:
            Head frame, millimetres.
        """
        expression = bound_mouth_close(expression)
        placed = self.neutral(shape) + torch.einsum("bj,jvc->bvc", expression, self.expression_basis)
        shape = shape[:, : self.blink_basis.shape[1]]
        blink = torch.einsum("be,bk,eknc->bnc", expression[:, BLINK_INDICES], shape, self.blink_basis)
        return placed.index_add(1, self.blink_vertices, blink)

    def neutral(self, shape: Float[Tensor, "batch coeffs"]) -> Float[Tensor, "batch vertices 3"]:
        """The face without expression; head frame, millimetres."""
        return self.mean + torch.einsum("bk,kvc->bvc", shape, self.shape_basis)

    def expressions(self, shape: Float[Tensor, " coeffs"]) -> Float[Tensor, "52 vertices 3"]:
        """What each expression at weight 1 adds to the neutral face of one identity, millimetres."""
        basis = self.expression_basis.clone()
        blink = torch.einsum("k,eknc->enc", shape, self.blink_basis)
        for side, index in enumerate(BLINK_INDICES):
            basis[index, self.blink_vertices] += blink[side]
        return basis

    def albedo(self, reflectance: Float[Tensor, "batch coeffs"]) -> Float[Tensor, "batch vertices 3"]:
        """Diffuse albedo at the subdivided vertices, or the native ones if so built.

        Returns:
            Linear RGB inside ALBEDO_RANGE.
        """
        return albedo_from_log(self.log_albedo(reflectance))

    def log_albedo(self, reflectance: Float[Tensor, "batch coeffs"]) -> Float[Tensor, "batch vertices 3"]:
        """Logarithm of albedo, of any size."""
        return self.log_albedo_mean + torch.einsum("bk,kvc->bvc", reflectance, self.reflectance_basis)

    def subdivide(self, values: Float[Tensor, "batch vertices channels"]) -> Float[Tensor, "batch finer channels"]:
        """One Catmull–Clark step of positions or any other values at the native vertices."""
        batch, count, channels = values.shape
        columns = values.permute(1, 0, 2).reshape(count, -1)
        return torch.sparse.mm(self.subdivision, columns).reshape(-1, batch, channels).permute(1, 0, 2)

    def _hold(self, name: str, array: np.ndarray) -> None:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        self.register_buffer(name, tensor.long() if not tensor.is_floating_point() else tensor, persistent=False)
