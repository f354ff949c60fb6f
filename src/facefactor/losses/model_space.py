# SPDX-License-Identifier: Apache-2.0
"""How far a code is from the true one, by what the difference does to the face.

InverseFaceNet (Kim et al. 2018, arXiv:1703.10956, section 5.1) compares codes in the space of faces:

    E = ‖A (θ − θ*)‖²,    A = diag(w_g · effect_k)

Each coefficient k counts by the effect of its basis in space and each group g by a weight; errors of coefficients that
change nothing cost nothing. Effects here, over the vertices of the face region:

    shape, expression   root mean square displacement, in spreads of the shape space
    translation         displacement in the picture plane, in the same unit; depth by what it moves (r / 1000 mm)
    reflectance         root mean square change of log albedo, in spreads of the reflectance space
    illumination        root mean square change of irradiance over all normals, in that of the ambient coefficient
    rotation            the angle of the turn between the two, radians

A spread is what one draw from the prior differs from the mean on average, so 1 is a face answered by the mean. The
baseline, `parameter_loss`, takes coefficients as they are.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_axis_angle
from facefactor.code.face_code import NOMINAL_DISTANCE_MM, FaceCode
from facefactor.encode.encoder import TRANSLATION_SCALE_MM
from facefactor.face.model import FaceModel
from facefactor.light.spherical_harmonics import LAMBERT_FACTORS

LEAST_EXPRESSION_EFFECT = 0.2
"""Shape spreads at weight 1. Gaze and the tongue move less skin than this, and are seen all the same."""

SOFT_MM = 0.01
"""Below this distances are about quadratic: at zero itself they have no gradient."""


@dataclass(frozen=True)
class GroupWeights:
    """How much each part of a code counts; only their ratios matter. The paper's, translation added."""

    rotation: float = 400.0
    """Per radian."""
    translation: float = 50.0
    """Per shape spread of displacement."""
    shape: float = 50.0
    """Per shape spread."""
    expression: float = 50.0
    """Per shape spread of displacement."""
    reflectance: float = 100.0
    """Per reflectance spread."""
    illumination: float = 20.0
    """Per unit of the ambient coefficient."""


@dataclass(frozen=True, eq=False)
class CoefficientEffects:
    """What each coefficient of a code does in space, the diagonal of A without the group weights."""

    translation: Float[Tensor, "3"]
    """Shape spreads per millimetre."""
    shape: Float[Tensor, " coeffs"]
    """Shape spreads per standard deviation."""
    expression: Float[Tensor, "52"]
    """Shape spreads at weight 1."""
    reflectance: Float[Tensor, " coeffs"]
    """Reflectance spreads per standard deviation."""
    illumination: Float[Tensor, "9 1"]
    """Against the ambient coefficient."""

    @classmethod
    def of(cls, model: FaceModel) -> "CoefficientEffects":
        """Measure them over the face region of a model."""
        face = model.regions["face"]
        shape_mm, expression_mm = (
            _displacement(basis[:, face]) for basis in (model.shape_basis, model.expression_basis)
        )
        log_albedo = np.sqrt(np.square(model.reflectance_basis[:, face]).mean(axis=(1, 2)))
        spread_mm = np.linalg.norm(shape_mm)
        radius_mm = np.sqrt(np.square(model.mean[face, :2]).sum(axis=1).mean())
        per_mm = np.array([1.0, 1.0, radius_mm / NOMINAL_DISTANCE_MM]) / spread_mm
        return cls(
            translation=_tensor(per_mm),
            shape=_tensor(shape_mm / spread_mm),
            expression=_tensor(np.maximum(expression_mm / spread_mm, LEAST_EXPRESSION_EFFECT)),
            reflectance=_tensor(log_albedo / np.linalg.norm(log_albedo)),
            illumination=torch.tensor(LAMBERT_FACTORS)[:, None],
        )

    def to(self, like: Tensor) -> "CoefficientEffects":
        """Copy with the precision and on the device of a tensor."""
        return CoefficientEffects(**{field.name: getattr(self, field.name).to(like) for field in fields(self)})


class CodeDistances(NamedTuple):
    """Squared distances ‖effect · (θ − θ*)‖² of each part, before the group weights."""

    rotation: Float[Tensor, " batch"]
    translation: Float[Tensor, " batch"]
    shape: Float[Tensor, " batch"]
    expression: Float[Tensor, " batch"]
    reflectance: Float[Tensor, " batch"]
    illumination: Float[Tensor, " batch"]


def model_space_loss(
    predicted: "FaceCode[Tensor]",
    target: "FaceCode[Tensor]",
    effects: CoefficientEffects,
    weights: GroupWeights,
) -> Float[Tensor, " batch"]:
    """InverseFaceNet's loss, divided by the sum of its squared weights: a weighted mean of the parts' distances.

    Args:
        predicted: a batch of codes; correctives are not compared.
        target: the true ones.
        effects: of the face model.
        weights: of the parts.
    """
    distances = code_distances(predicted, target, effects)
    shares = [getattr(weights, name) ** 2 for name in CodeDistances._fields]
    weighted = [share * distance for share, distance in zip(shares, distances, strict=True)]
    return torch.stack(weighted).sum(dim=0) / sum(shares)


def code_distances(
    predicted: "FaceCode[Tensor]", target: "FaceCode[Tensor]", effects: CoefficientEffects
) -> CodeDistances:
    """Compare codes part by part; arguments as in `model_space_loss`."""
    effects = effects.to(predicted.shape)

    def distance(part: str) -> Tensor:
        difference = getattr(predicted, part) - getattr(target, part)
        return (getattr(effects, part) * difference).flatten(1).square().sum(dim=1)

    rotation = rotation_distance(predicted.rotation, target.rotation)
    return CodeDistances(rotation, *(distance(part) for part in CodeDistances._fields[1:]))


def rotation_distance(predicted: Float[Tensor, "batch 3"], target: Float[Tensor, "batch 3"]) -> Float[Tensor, " batch"]:
    """Squared angle of the turn that takes one rotation to the other, radians².

    The difference of two axis-angle vectors is that angle only where their axes agree.
    """
    turn = matrix_from_axis_angle(predicted).mT @ matrix_from_axis_angle(target)
    return axis_angle_from_matrix(turn).square().sum(dim=-1)


def geometry_distance(
    points_mm: Float[Tensor, "batch points 3"], exact_mm: Float[Tensor, "batch points 3"]
) -> Float[Tensor, " batch"]:
    """Mean distance of points from where they should be, beyond a shift of all, mm; head frame.

    Unlike the distances of coefficients it sees what errors of shape and of expression make together.
    """
    difference = points_mm - exact_mm
    difference = difference - difference.mean(dim=1, keepdim=True)
    return (difference.square().sum(dim=-1) + SOFT_MM**2).sqrt().mean(dim=-1) - SOFT_MM


def parameter_loss(predicted: "FaceCode[Tensor]", target: "FaceCode[Tensor]") -> Float[Tensor, " batch"]:
    """Plain ℓ2: the mean squared difference of a code's numbers, the baseline of the paper's ablation.

    Axis-angle vectors are subtracted; translation is in TRANSLATION_SCALE_MM, or its millimetres would be all.
    """
    scale = predicted.translation.new_tensor(TRANSLATION_SCALE_MM)
    vectors = [code.with_pose(code.rotation, code.translation / scale).pack() for code in (predicted, target)]
    return (vectors[0] - vectors[1]).square().mean(dim=-1)


def _displacement(basis: np.ndarray) -> np.ndarray:
    """Root mean square length that each component moves vertices by: (K, V, 3) to (K,)."""
    return np.sqrt(np.square(basis).sum(axis=2).mean(axis=1))


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(np.float32))
