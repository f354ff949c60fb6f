# SPDX-License-Identifier: Apache-2.0
"""How far the skin of two codes is apart in colour: reflectance and light together, as a photo shows them (torch).

    E = mean_v ‖srgb(A_v(β) L(n_v, γ)) − srgb(A_v(β*) L(n_v, γ*))‖₂,      n_v = R* n̄_v

over points spread on the face, with the mean head's normals n̄ turned as the true head is: shape and pose have losses of
their own, so here they are the truth's. The distance is the photometric loss', ℓ2,1 on sRGB-encoded colours (MoFA,
arXiv:1703.10580, eq. 8). Model-space distances of reflectance and light do not know that darker skin in stronger light
looks the same, nor that errors of both in one direction look twice as wrong; this one does.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facefactor.camera.pose import matrix_from_axis_angle
from facefactor.code.face_code import FaceCode
from facefactor.face.albedo import albedo_from_log
from facefactor.face.model import FaceModel
from facefactor.face.normals import vertex_normals
from facefactor.light.spherical_harmonics import shade
from facefactor.losses.photometric import colour_distance
from facefactor.photo.colour import linear_to_srgb

STRIDE = 4
"""Every fourth vertex of the face is looked at: 500 of them."""


class SkinColours:
    """Compares codes by the colours of their skin.

    Args:
        model: the face model.
    """

    def __init__(self, model: FaceModel) -> None:
        points = model.regions["face"][::STRIDE]
        self._normals = _tensor(vertex_normals(model.mean, model.triangles)[points])
        self._log_mean = _tensor(model.log_albedo_mean[points])
        self._log_basis = _tensor(model.reflectance_basis[:, points])

    def distance(self, predicted: "FaceCode[Tensor]", target: "FaceCode[Tensor]") -> Float[Tensor, " batch"]:
        """Mean distance over the points, sRGB units of [0, 1].

        Args:
            predicted: a batch of codes.
            target: the true ones.
        """
        normals = self._normals.to(target.rotation) @ matrix_from_axis_angle(target.rotation).mT
        return colour_distance(self._colours(predicted, normals), self._colours(target, normals)).mean(dim=-1)

    def _colours(self, code: "FaceCode[Tensor]", normals: Float[Tensor, "batch points 3"]) -> Tensor:
        log_basis, log_mean = self._log_basis.to(code.reflectance), self._log_mean.to(code.reflectance)
        albedo = albedo_from_log(log_mean + torch.einsum("bk,kpc->bpc", code.reflectance, log_basis))
        return linear_to_srgb(shade(albedo, normals, code.illumination).clamp(0.0, 1.0))


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
