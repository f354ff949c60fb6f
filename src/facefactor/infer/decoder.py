# SPDX-License-Identifier: Apache-2.0
"""Code to face at once: vertices, albedo and landmarks of a batch, for numpy arrays and torch tensors.

Numpy runs it in the fast path; torch writes it as a graph for other runtimes (`export.py`). The formulas are those of
`face/`, laid out for speed. Everything that is linear is one matrix product per batch, which at batch 1 is bound by
reading the matrices once; landmarks have bases of their own (`face/linear_bases.py`). Colours go by planes, (3, V),
until the end. A test holds the results to those of `MorphableFace`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

import numpy as np
from array_api_compat import device

from facefactor.arrays import Array, array_namespace
from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import crop_intrinsics, project_points
from facefactor.code.face_code import REFLECTANCE_SIZE, FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.face.albedo import albedo_from_log
from facefactor.face.landmarks import NUM_CONTOUR, PATH_STEPS, ContourPaths, contour_paths, outermost_places
from facefactor.face.linear_bases import LinearBases, Mixture, in_triangles, linear_weights
from facefactor.face.model import FaceModel

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class DecodedFaces(NamedTuple, Generic[Array]):
    """What codes decode to, for a batch of faces."""

    vertices_mm: Float[Array, "batch vertices 3"]
    """Native vertices, head frame, millimetres."""
    albedo_linear: Float[Array, "batch vertices 3"]
    """Linear RGB."""
    landmarks68_px: Float[Array, "batch 68 2"]
    """iBUG points, pixels of the encoder's crop."""
    landmarks478_px: Float[Array, "batch 478 2"]
    """MediaPipe points, pixels of the encoder's crop."""


@dataclass(frozen=True, eq=False)
class Decoder(Generic[Array]):
    """A face model laid out for decoding; albedo is that of its native vertices."""

    surface: LinearBases[Array]
    marks: LinearBases[Array]
    tangents: Float[Array, "17 3"]
    reflectance_basis: Float[Array, "80 planes"]
    corrections_basis: Float[Array, "corrections moved_planes"]
    """Of the albedo's corrections, over the vertices that they move: the face, a third of all."""
    corrected_places: Int[Array, " vertices"]
    """For each vertex its number among those, from 1; 0 for the others."""
    log_albedo_mean: Float[Array, " planes"]
    K: Float[Array, "3 3"]

    @classmethod
    def of(cls, model: FaceModel) -> Decoder[np.ndarray]:
        """Lay out a face model, float32."""
        paths = contour_paths(model)
        native = slice(model.num_vertices)
        basis = np.moveaxis(model.reflectance_basis[:, native], 2, 1)
        base, corrections = basis[:REFLECTANCE_SIZE], basis[REFLECTANCE_SIZE:]
        moved = np.flatnonzero(corrections.any(axis=(0, 1)))
        places = np.zeros(model.num_vertices, dtype=np.int64)
        places[moved] = 1 + np.arange(len(moved))
        return Decoder(
            LinearBases.of(model, lambda values: values),
            LinearBases.of(model, _landmark_mixture(model, paths)),
            paths.tangents,
            np.ascontiguousarray(base.reshape(len(base), -1)),
            np.ascontiguousarray(corrections[:, :, moved].reshape(len(corrections), 3 * len(moved))),
            places,
            model.log_albedo_mean[native].T.reshape(-1),
            crop_intrinsics(ENCODER_CROP_PX).astype(np.float32),
        )

    def map(self, function: Callable[[Array], Any]) -> Decoder[Any]:
        """Apply a function to every array, such as `torch.from_numpy`."""
        surface, marks, *others = (getattr(self, field.name) for field in fields(self))
        return Decoder(surface.map(function), marks.map(function), *(function(array) for array in others))

    def decode(self, code: FaceCode[Array]) -> DecodedFaces[Array]:
        """Make the faces that codes describe; 140 kB a face.

        Args:
            code: float32, with one batch dimension.

        Raises:
            ValueError: the code holds one face without a batch dimension, or several.
        """
        if len(code.batch_shape) != 1:
            raise ValueError(f"a code to decode must have one batch dimension, got {code.batch_shape}")
        return self.decode_parts(
            code.full_shape, code.expression, code.full_reflectance, code.rotation, code.translation
        )

    def decode_parts(
        self,
        shape: Float[Array, "batch coeffs"],
        expression: Float[Array, "batch 52"],
        reflectance: Float[Array, "batch coeffs"],
        rotation: Float[Array, "batch 3"],
        translation: Float[Array, "batch 3"],
    ) -> DecodedFaces[Array]:
        """The same from a code's parts, without a look at their values, so that it can be exported."""
        xp = array_namespace(shape)
        weights, blink_weights = linear_weights(shape, expression)
        R = matrix_from_axis_angle(rotation)
        marks = move_to_camera(self.marks.points(weights, blink_weights), R, translation)
        paths = xp.reshape(marks[:, _CONTOUR], (-1, NUM_CONTOUR, PATH_STEPS, 3))
        contour = outermost_places(paths, R, self.tangents)
        return DecodedFaces(
            self.surface.points(weights, blink_weights),
            self.albedo(reflectance),
            project_points(xp.concat((contour, marks[:, _INNER68]), axis=1), self.K),
            project_points(marks[:, _DENSE478], self.K),
        )

    def vertices(
        self, shape: Float[Array, "batch coeffs"], expression: Float[Array, "batch 52"]
    ) -> Float[Array, "batch vertices 3"]:
        """The native vertices alone, head frame, millimetres."""
        return self.surface.points(*linear_weights(shape, expression))

    def albedo(self, reflectance: Float[Array, "batch coeffs"]) -> Float[Array, "batch vertices 3"]:
        """Linear RGB at the native vertices."""
        xp = array_namespace(reflectance)
        log_albedo = self.log_albedo_mean + reflectance[:, :REFLECTANCE_SIZE] @ self.reflectance_basis
        planes = xp.reshape(log_albedo, (-1, 3, self.log_albedo_mean.shape[0] // 3))
        if self.corrections_basis.shape[0]:
            moved = reflectance[:, REFLECTANCE_SIZE:] @ self.corrections_basis
            moved = xp.reshape(moved, (-1, 3, self.corrections_basis.shape[1] // 3))
            still = xp.zeros((moved.shape[0], 3, 1), dtype=moved.dtype, device=device(moved))
            planes = planes + xp.take(xp.concat((still, moved), axis=2), self.corrected_places, axis=2)
        return albedo_from_log(planes, channel_axis=1).mT


_INNER68, _DENSE478, _CONTOUR = slice(0, 51), slice(51, 529), slice(529, None)
"""Where the marks hold the fixed iBUG points, the MediaPipe points, and the places of the contour's paths."""


def _landmark_mixture(model: FaceModel, paths: ContourPaths) -> Mixture:
    """All the marks: what the slices name."""
    parts = (
        (model.landmarks68_vertices[NUM_CONTOUR:], model.landmarks68_weights[NUM_CONTOUR:]),
        (model.landmarks478_vertices, model.landmarks478_weights),
        (paths.corners.reshape(-1, 3), paths.weights.reshape(-1, 3)),
    )
    corners, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    return in_triangles(corners, weights)
