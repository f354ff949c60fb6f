# SPDX-License-Identifier: Apache-2.0
"""How far projected model landmarks are from detected ones.

Distances are in units of the crop's side, so weights do not depend on its resolution. Points of the lids and lips count
more, so that closed eyes close and open mouths open; points of the face's oval count less, since the detector lets
them slide along the outline as the head turns.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import crop_intrinsics, project_points
from facefactor.code.face_code import FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.face.linear_points import LinearPoints, dense_landmarks
from facefactor.face.model import FaceModel
from facefactor.photo import landmarks as names

LID_WEIGHT, INNER_LIP_WEIGHT, OUTER_LIP_WEIGHT, IRIS_WEIGHT, OVAL_WEIGHT = 3.0, 3.0, 2.0, 2.0, 0.5

SOFT_PX = 0.2
"""Below this a distance that is not squared is about quadratic."""
SHUT, NARROW = 0.07, 0.11
"""Opening over width of an eye: detectors keep the lids of shut eyes apart by up to the first, for lids are thick and
lashes long; from the second on an eye is open and they are right."""
SHUT_GAIN = 1.5
"""How much more a shut eye's opening counts: few eyes are, and a network that is unsure answers half of it."""
UPPER_POINTS, LOWER_POINTS = (
    tuple(point for edges in names.OPENINGS.values() for point in edges[side][1:-1]) for side in (0, 1)
)
"""Of eyes and mouth, without the corners."""
EYES = ("left_eye", "right_eye")
NUM_LID_PAIRS = sum(len(names.OPENINGS[eye][0]) - 2 for eye in EYES)
"""Of those points, the first ones: OPENINGS names the eyes before the mouth."""


class CropLandmarks:
    """Where the landmarks of codes are in the encoder's crop.

    Args:
        model: the face model.
    """

    def __init__(self, model: FaceModel) -> None:
        self.points = dense_landmarks(model)
        self.K = torch.from_numpy(crop_intrinsics(ENCODER_CROP_PX)).float()

    def project(self, code: FaceCode[Tensor]) -> Float[Tensor, "batch 478 2"]:
        """Pixels of the crop."""
        return project_landmarks(self.points.to(code.shape.device), code, self.K.to(code.shape))


def project_landmarks(
    points: LinearPoints, code: FaceCode[Tensor], K: Float[Tensor, "3 3"]
) -> Float[Tensor, "batch landmarks 2"]:
    """Where the landmarks of codes fall in a crop, pixels.

    Args:
        points: of the codes' face model.
        code: a batch, in the crop's camera.
        K: the crop's intrinsics.
    """
    placed = points.place(code.full_shape, code.expression)
    return project_points(move_to_camera(placed, matrix_from_axis_angle(code.rotation), code.translation), K)


def landmark_weights() -> Float[Tensor, " 478"]:
    """Weight of each of the 478 points by what it marks."""
    weights = torch.ones(names.NUM_LANDMARKS)
    groups = (
        (names.FACE_OVAL, OVAL_WEIGHT),
        (names.LIPS_OUTER_UPPER + names.LIPS_OUTER_LOWER, OUTER_LIP_WEIGHT),
        (names.LIPS_INNER_UPPER + names.LIPS_INNER_LOWER, INNER_LIP_WEIGHT),
        (names.LEFT_EYE_UPPER + names.LEFT_EYE_LOWER + names.RIGHT_EYE_UPPER + names.RIGHT_EYE_LOWER, LID_WEIGHT),
        (names.LEFT_IRIS + names.RIGHT_IRIS, IRIS_WEIGHT),
    )
    for ids, weight in groups:
        weights[list(ids)] = weight
    return weights


def landmark_loss(
    projected_px: Float[Tensor, "batch landmarks 2"],
    detected_px: Float[Tensor, "batch landmarks 2"],
    weights: Float[Tensor, "batch landmarks"],
    crop_size_px: float,
) -> Float[Tensor, " batch"]:
    """Weighted mean squared distance, in squared crop sides.

    Args:
        projected_px: of the model.
        detected_px: of the detector.
        weights: what each point marks times its visibility.
        crop_size_px: side of the crop.
    """
    squared = ((projected_px - detected_px) / crop_size_px).square().sum(dim=-1)
    return (weights * squared).sum(dim=-1) / weights.sum(dim=-1).clamp_min(1e-9)


def landmark_distance(
    projected_px: Float[Tensor, "batch landmarks 2"],
    detected_px: Float[Tensor, "batch landmarks 2"],
    weights: Float[Tensor, "batch landmarks"],
    crop_size_px: float,
) -> Float[Tensor, " batch"]:
    """Weighted mean distance, in crop sides: not squared, for detectors that err now and then; see `landmark_loss`."""
    squared = (projected_px - detected_px).square().sum(dim=-1)
    return _mean_distance(squared, weights) / crop_size_px


def meet_when_shut(detected_px: Float[Tensor, "batch landmarks 2"]) -> Float[Tensor, "batch landmarks 2"]:
    """Bring the lids of shut eyes together, and those of nearly shut ones by a part of it; see SHUT and NARROW.

    Args:
        detected_px: of a detector that was taught by people's marks.
    """

    return _with_openings(detected_px, lambda opening, eye: ((opening - SHUT) / (NARROW - SHUT)).clamp(0.0, 1.0))


def opened_at_most_as(
    detected_px: Float[Tensor, "batch landmarks 2"], other_px: Float[Tensor, "batch landmarks 2"]
) -> Float[Tensor, "batch landmarks 2"]:
    """Let the lids of some points be no farther apart than those of other points are, for the eyes' widths.

    Args:
        detected_px: whose lids are moved toward each other, and nothing else.
        other_px: of the same faces, such as a code's landmarks.
    """

    def kept(opening: Tensor, eye: str) -> Tensor:
        return (_opening(other_px, eye) / opening.clamp_min(1e-6)).clamp(max=1.0)

    return _with_openings(detected_px, kept)


def _with_openings(points_px: Tensor, kept: Callable[[Tensor, str], Tensor]) -> Tensor:
    """Multiply how far lids are apart by a function of how far that is for the eye's width."""
    moved_px = points_px.clone()
    for eye in EYES:
        upper, lower = (list(edge[1:-1]) for edge in names.OPENINGS[eye])
        share = kept(_opening(points_px, eye), eye)[:, None, None]
        middle = (points_px[:, upper] + points_px[:, lower]) / 2
        for edge in (upper, lower):
            moved_px[:, edge] = middle + share * (points_px[:, edge] - middle)
    return moved_px


def _opening(points_px: Tensor, eye: str) -> Float[Tensor, " batch"]:
    """Mean distance of an eye's lids over its width."""
    upper, lower = (list(edge) for edge in names.OPENINGS[eye])
    width = (points_px[:, upper[0]] - points_px[:, upper[-1]]).norm(dim=-1)
    gaps = (points_px[:, upper[1:-1]] - points_px[:, lower[1:-1]]).norm(dim=-1)
    return gaps.mean(dim=1) / width.clamp_min(1e-6)


def opening_distance(
    projected_px: Float[Tensor, "batch landmarks 2"],
    detected_px: Float[Tensor, "batch landmarks 2"],
    visibility: Float[Tensor, "batch landmarks"],
    crop_size_px: float,
) -> Float[Tensor, " batch"]:
    """How much wider or narrower eyes and mouth are opened than detected: mean distance over pairs, in crop sides.

    A pair is a point of the upper lid or lip and the one below it. Closed eyes are a matter of one or two pixels, which
    the places of all points hardly notice; lids that meet count 1 + SHUT_GAIN times.
    """
    upper, lower = (torch.tensor(ids, device=projected_px.device) for ids in (UPPER_POINTS, LOWER_POINTS))
    openings = [points[:, lower] - points[:, upper] for points in (projected_px, detected_px)]
    weights = torch.minimum(visibility[:, upper], visibility[:, lower])
    lids_meet = torch.exp(-(openings[1][:, :NUM_LID_PAIRS] * ENCODER_CROP_PX / crop_size_px).square().sum(dim=-1))
    gains = torch.nn.functional.pad(SHUT_GAIN * lids_meet, (0, weights.shape[1] - NUM_LID_PAIRS))
    distances_px = _distances((openings[0] - openings[1]).square().sum(dim=-1))
    return ((1 + gains) * weights * distances_px).sum(dim=-1) / weights.sum(dim=-1).clamp_min(1e-9) / crop_size_px


def _mean_distance(squared_px: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean root over points."""
    return (weights * _distances(squared_px)).sum(dim=-1) / weights.sum(dim=-1).clamp_min(1e-9)


def _distances(squared_px: Tensor) -> Tensor:
    """Roots, about quadratic below SOFT_PX."""
    return (squared_px + SOFT_PX**2).sqrt() - SOFT_PX
