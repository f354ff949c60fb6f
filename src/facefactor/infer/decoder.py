# SPDX-License-Identifier: Apache-2.0
"""Code to face in one graph, in torch; what `export.py` writes as ONNX and nothing else needs.

The formulas are those of `face/morph.py` and `face/landmarks.py`, laid out for speed. Everything that is linear is one
matrix product per batch, which at batch 1 is bound by reading the matrices once; landmarks have bases of their own
(`face/linear_points.py`). Colours go by planes, (3, V), until the end. A test holds the results to those of
`MorphableFace`.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import crop_intrinsics, project_points
from facefactor.code.face_code import PART_SHAPES
from facefactor.encode import ENCODER_CROP_PX
from facefactor.face.landmarks import NUM_CONTOUR, ContourPaths, contour_paths, outermost_places
from facefactor.face.linear_points import LinearPoints, Mixture, in_triangles, linear_weights
from facefactor.face.model import ALBEDO_RANGE, FaceModel

OUTPUTS = ("vertices_mm", "albedo_linear", "landmarks68_px", "landmarks478_px")
"""What a decoder answers, in this order."""
_PART_SIZES = [math.prod(size) for size in PART_SHAPES.values()]


class Decoder(nn.Module):
    """A face model laid out for decoding.

    Args:
        model: the face model; albedo is that of its native vertices.
    """

    tangents: Tensor
    reflectance_basis: Tensor
    log_albedo_mean: Tensor
    K: Tensor

    def __init__(self, model: FaceModel) -> None:
        super().__init__()
        self.surface = LinearPoints(model, lambda values: values)
        paths = contour_paths(model)
        self.marks = LinearPoints(model, _landmark_mixture(model, paths))
        self.register_buffer("tangents", paths.tangents)
        native = slice(model.num_vertices)
        planes = np.moveaxis(model.reflectance_basis[:, native], 2, 1)
        self.register_buffer("reflectance_basis", _tensor(planes.reshape(len(planes), -1)))
        self.register_buffer("log_albedo_mean", _tensor(model.log_albedo_mean[native].T.reshape(-1)))
        self.register_buffer("K", crop_intrinsics(ENCODER_CROP_PX))

    def forward(self, packed: Float[Tensor, "batch 245"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Decode packed codes.

        Returns:
            What OUTPUTS lists: vertices (batch, V, 3), head frame, millimetres; their albedo (batch, V, 3), linear RGB;
            the 68 iBUG and the 478 MediaPipe landmarks (batch, …, 2), pixels of the encoder's crop.
        """
        shape, expression, reflectance, rotation, translation, _ = packed.split(_PART_SIZES, dim=1)
        weights, blink_weights = linear_weights(shape, expression)
        R = matrix_from_axis_angle(rotation)
        marks = move_to_camera(self.marks(weights, blink_weights), R, translation)
        contour = outermost_places(marks[:, _CONTOUR].unflatten(1, (NUM_CONTOUR, -1)), R, self.tangents)
        landmarks68 = torch.cat((contour, marks[:, _INNER68]), dim=1)
        return (
            self.surface(weights, blink_weights),
            self.albedo(reflectance),
            project_points(landmarks68, self.K),
            project_points(marks[:, _DENSE478], self.K),
        )

    def albedo(self, reflectance: Float[Tensor, "batch coeffs"]) -> Float[Tensor, "batch vertices 3"]:
        """Linear RGB inside ALBEDO_RANGE; a colour too light is scaled down and keeps its hue."""
        log_albedo = (self.log_albedo_mean + reflectance @ self.reflectance_basis).unflatten(1, (3, -1))
        low, high = ALBEDO_RANGE
        excess = (log_albedo.amax(dim=1, keepdim=True) - math.log(high)).clamp_min(0.0)
        return (log_albedo - excess).exp().clamp_min(low).mT


_INNER68, _DENSE478, _CONTOUR = slice(0, 51), slice(51, 529), slice(529, None)
"""Where the marks hold the fixed iBUG points, the MediaPipe points, and the places of the contour's paths."""


def _landmark_mixture(model: FaceModel, paths: ContourPaths) -> Mixture:
    """All the marks: what the slices name."""
    parts = (
        (model.landmarks68_vertices[NUM_CONTOUR:], model.landmarks68_weights[NUM_CONTOUR:]),
        (model.landmarks478_vertices, model.landmarks478_weights),
        (paths.corners.numpy().reshape(-1, 3), paths.weights.numpy().reshape(-1, 3)),
    )
    corners, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    return in_triangles(corners, weights)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
