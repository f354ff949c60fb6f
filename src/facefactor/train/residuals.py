# SPDX-License-Identifier: Apache-2.0
"""A start for the corrections of albedo: the main ways in which photos differ from what the base level answers (torch).

    photos ─encoder, base model─► r = log photo − log irradiance − log albedo, at the vertices seen ─► R ≈ U S Vᵀ
    Θ_r = V S / √n,    δ_r = √n U ≈ W · features (ridge regression)

Principal components and a linear regression find in a minute what gradients from zero take thousands of steps for:
beards, brows, make-up, the lines of age. Training goes on from there, with the regularisers that this start knows
nothing of. The mean of each photo's residual is taken off, as skin tone and the light's strength are the base's.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.data.batch import CropBatch
from facefactor.face.corrective_bases import LOG_ALBEDO_UNIT
from facefactor.fit.batch_colours import LEAST_COLOUR, LEAST_IRRADIANCE
from facefactor.losses.photometric import colour_distance, explained_share
from facefactor.losses.reconstruction import ReconstructionWeights
from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.render.face_view import FaceViewer
from facefactor.render.vertex import sample_picture

if TYPE_CHECKING:
    from facefactor.train.multilevel import MultilevelNetwork

LARGEST_RESIDUAL = 0.8
"""Log albedo: what differs by more is hair, glasses or a shadow's edge."""
RIDGE = 0.3
"""Of the mean squared feature, against overfitting."""
OVERSAMPLED = 16
"""Components more than wanted that the randomised decomposition looks for."""


@torch.no_grad()
def start_from_residuals(network: "MultilevelNetwork", photos: Iterable[CropBatch], viewer: FaceViewer) -> None:
    """Set Θ_r and the encoder's head for it by what photos show; everything else stays as it is.

    Args:
        network: whose encoder answers the base level well.
        photos: some thousand, in batches.
        viewer: of the base model.
    """
    network.eval()
    device, moved = network.bases.vertices.device, network.bases.vertices
    viewer = viewer.to(device)
    residuals, features = [], []
    for batch in photos:
        batch = batch.to(device)
        features.append(network.encoder.backbone(batch.crops_srgb))
        residuals.append(_residuals(network, batch, viewer, moved))
    R, F = torch.cat(residuals), torch.cat(features)
    count, wanted = len(R), network.bases.reflectance.shape[0]
    U, S, V = torch.svd_lowrank(R, q=min(wanted + OVERSAMPLED, *R.shape), niter=4)
    found = min(wanted, len(S))
    network.bases.reflectance[:found] = (V[:, :found] * S[:found]).mT / (count**0.5 * LOG_ALBEDO_UNIT)
    _regress(network, F, count**0.5 * U[:, :found])


def _residuals(
    network: "MultilevelNetwork", batch: CropBatch, viewer: FaceViewer, moved: Tensor
) -> Float[Tensor, "batch coordinates"]:
    """Log albedo that photos want beside the base level's, zero where nothing is known."""
    code = network.encoder(batch.crops_srgb).without_corrections()
    view, pictures = viewer.look(code), batch.crops_srgb.movedim(1, -1)
    weights = view.weights * sample_picture(batch.covered, view.positions_px)[..., 0]
    observed = sample_picture(pictures, view.positions_px)
    lit = view.albedo * view.irradiance.clamp_min(LEAST_IRRADIANCE)
    distance = colour_distance(observed, linear_to_srgb(lit))
    share = (weights > 0) * explained_share(distance, weights > 0, ReconstructionWeights.tolerance)
    residual = srgb_to_linear(observed).clamp_min(LEAST_COLOUR).log() - lit.log()
    residual, share = residual[:, moved].clamp(-LARGEST_RESIDUAL, LARGEST_RESIDUAL), share[:, moved, None]
    mean = (share * residual).sum(dim=1, keepdim=True) / share.sum(dim=1, keepdim=True).clamp_min(1e-9)
    return (share * (residual - mean)).flatten(1)


def _regress(network: "MultilevelNetwork", features: Tensor, wanted: Tensor) -> None:
    """Let the head answer coefficients from features, as well as a linear map can."""
    head = network.encoder.heads["reflectance_corrective"]
    assert isinstance(head, nn.Linear)
    mean = features.mean(dim=0)
    centred = features - mean
    system = centred.mT @ centred / len(centred)
    system += RIDGE * system.diagonal().mean() * torch.eye(len(system), device=system.device)
    weight = torch.linalg.solve(system, centred.mT @ wanted / len(centred)).mT
    head.weight[: len(weight)] = weight
    head.bias[: len(weight)] = wanted.mean(dim=0) - weight @ mean
