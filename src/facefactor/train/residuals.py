# SPDX-License-Identifier: Apache-2.0
"""A start for the corrections of albedo: the main ways in which photos differ from what the base level answers (torch).

    photos ─encoder, base model─► r, log albedo that is missing (`encode/second_look.py`) ─► R ≈ U S Vᵀ
    Θ_r = V S / √n,    δ_r = √n U ≈ W · seen,    seen: what the second look sees, or the features where there is none

by ridge regression. Principal components find in a minute what gradients from zero take thousands of steps for: beards,
brows, make-up, the lines of age. Training goes on from there, with the regularisers that this start knows nothing of.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.data.batch import CropBatch
from facefactor.encode.second_look import READING_UNIT, SecondLook
from facefactor.face.corrective_bases import LOG_ALBEDO_UNIT
from facefactor.face.model import FaceModel

if TYPE_CHECKING:
    from facefactor.train.multilevel import MultilevelNetwork

RIDGE = 0.3
"""Of the mean squared feature, against overfitting."""
LOOK_RIDGE = 0.01
"""The same of what the second look sees, which says much more."""
OVERSAMPLED = 16
"""Components more than wanted that the randomised decomposition looks for."""


@torch.no_grad()
def start_from_residuals(network: "MultilevelNetwork", photos: Iterable[CropBatch], model: FaceModel) -> None:
    """Set Θ_r and what answers its coefficients by what photos show; everything else stays as it is.

    Args:
        network: whose encoder answers the base level well.
        photos: some thousand, in batches.
        model: the base model.
    """
    network.eval()
    encoder, device = network.encoder, network.bases.vertices.device
    whole = SecondLook(model, 1, 1, model.regions["face"]).to(device)
    residuals, seen = [], []
    for batch in photos:
        crops = batch.to(device).crops_srgb
        base = encoder(crops).without_corrections().pack()
        look = encoder.second_look
        seen.append(encoder.backbone(crops) if look is None else look.residuals(crops, base).flatten(1))
        residuals.append(whole.residuals(crops, base).flatten(1))
    R, head = torch.cat(residuals), encoder.heads["reflectance_corrective"]
    assert isinstance(head, nn.Linear)
    U, S, V = torch.svd_lowrank(R, q=min(head.out_features + OVERSAMPLED, *R.shape), niter=4)
    found = min(head.out_features, len(S))
    basis = (V[:, :found] * S[:found]).mT / (len(R) ** 0.5 * LOG_ALBEDO_UNIT)
    network.bases.reflectance[:found] = basis
    if encoder.rectified is not None:
        network.bases.reflectance[head.out_features : head.out_features + found] = -basis
    wanted = len(R) ** 0.5 * U[:, :found]
    if encoder.second_look is None:
        weight, bias = _regress(torch.cat(seen), wanted, RIDGE)
        head.weight[:found], head.bias[:found] = weight, bias
    else:
        weight, bias = _regress(torch.cat(seen), wanted, LOOK_RIDGE)
        first = encoder.second_look.reader.out_features - head.out_features
        encoder.second_look.reader.weight[first : first + found] = weight / READING_UNIT
        head.bias[:found] = bias


def _regress(
    seen: Float[Tensor, "photos numbers"], wanted: Float[Tensor, "photos coeffs"], ridge: float
) -> tuple[Tensor, Tensor]:
    """Weight and bias of the best linear map."""
    mean = seen.mean(dim=0)
    centred = seen - mean
    system = centred.mT @ centred / len(centred)
    system += ridge * system.diagonal().mean() * torch.eye(len(system), device=system.device)
    weight = torch.linalg.solve(system, centred.mT @ wanted / len(centred)).mT
    return weight, wanted.mean(dim=0) - weight @ mean
