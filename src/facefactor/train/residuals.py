# SPDX-License-Identifier: Apache-2.0
"""A start for the corrections of albedo: the main ways in which photos differ from what the base level answers (torch).

    photos ─encoder, base model─► r, log albedo that is missing (`encode/second_look.py`) ─► R ≈ U S Vᵀ
    Θ_r = V S / √n,    δ_r = √n U ≈ W · seen,    seen: what the second look sees, or the features where there is none

by ridge regression. Principal components find in a minute what gradients from zero take thousands of steps for: beards,
brows, make-up, the lines of age. Training goes on from there, with the regularisers that this start knows nothing of.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.data.batch import CropBatch
from facefactor.encode.second_look import READING_UNIT, SecondLook
from facefactor.face.corrective_bases import LOG_ALBEDO_UNIT
from facefactor.face.linear_points import LinearPoints
from facefactor.face.model import FaceModel

if TYPE_CHECKING:
    from facefactor.train.multilevel import MultilevelNetwork

FEATURES_RIDGE = 0.3
"""Of the mean squared feature, against overfitting."""
LOOK_RIDGE = 0.01
"""The same of what the second look sees, which says much more."""
GEOMETRY_RIDGE = 3.0
"""The same for geometry: one is best for rendered faces that were left out, a larger one carries over to photos."""
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
    whole = SecondLook(model, 1, 1, model.regions["face"]).to(network.bases.vertices.device)
    residuals, seen = [], []
    for batch in photos:
        crops = batch.to(network.bases.vertices.device).crops_srgb
        base = network.encoder(crops).without_corrections().pack()
        seen.append(_seen(network, crops, base))
        residuals.append(whole.residuals(crops, base).mT.flatten(1))
    ridge = FEATURES_RIDGE if network.encoder.second_look is None else LOOK_RIDGE
    _start(network, "reflectance", torch.cat(residuals) / LOG_ALBEDO_UNIT, torch.cat(seen), ridge)


@torch.no_grad()
def start_from_errors(network: "MultilevelNetwork", faces: Iterable[CropBatch], model: FaceModel) -> None:
    """Set Θ_g and what answers its coefficients by how wrong answers to rendered faces are, as `start_from_residuals`.

    Args:
        network: whose encoder answers the base level well.
        faces: some thousand, in batches, with their codes.
        model: the base model.
    """
    network.eval()
    device = network.bases.vertices.device
    points = LinearPoints(model, lambda values: values[model.regions["face"]]).to(device)
    errors, seen = [], []
    for batch in faces:
        batch = batch.to(device)
        exact, answer = batch.code, network.encoder(batch.crops_srgb)
        assert exact is not None  # of rendered faces
        seen.append(_seen(network, batch.crops_srgb, answer.without_corrections().pack()))
        error = points.place(exact.shape, exact.expression) - points.place(answer.shape, answer.expression)
        errors.append((error - error.mean(dim=1, keepdim=True)).flatten(1))
    _start(network, "geometry", torch.cat(errors), torch.cat(seen), GEOMETRY_RIDGE)


def _seen(network: "MultilevelNetwork", crops_srgb: Tensor, base: Tensor) -> Float[Tensor, "batch numbers"]:
    """What corrections are read of."""
    look = network.encoder.second_look
    return network.encoder.backbone(crops_srgb) if look is None else look.residuals(crops_srgb, base).flatten(1)


def _start(
    network: "MultilevelNetwork",
    kind: Literal["geometry", "reflectance"],
    wanted: Float[Tensor, "faces planes"],
    seen: Float[Tensor, "faces numbers"],
    ridge: float,
) -> None:
    """Set the bases of a kind by the main components of what is wanted, in the bases' unit, and what answers them."""
    encoder, basis = network.encoder, getattr(network.bases, kind)
    head, look = encoder.heads[f"{kind}_corrective"], encoder.second_look
    assert isinstance(head, nn.Linear)
    U, S, V = torch.svd_lowrank(wanted, q=min(head.out_features + OVERSAMPLED, *wanted.shape), niter=4)
    found = min(head.out_features, len(S))
    components = (V[:, :found] * S[:found]).mT / len(wanted) ** 0.5
    basis[:found] = components
    if encoder.rectified is not None:
        basis[head.out_features : head.out_features + found] = -components
    weight, bias = _regress(seen, len(wanted) ** 0.5 * U[:, :found], ridge)
    head.bias[:found] = bias
    if look is None:
        head.weight[:found] = weight
    else:
        first = 0 if kind == "geometry" else look.reader.out_features - head.out_features
        look.reader.weight[first : first + found] = weight / READING_UNIT
        head.weight[:found] = 0.0


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
