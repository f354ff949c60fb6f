# SPDX-License-Identifier: Apache-2.0
"""A face's record as a head that stands before its photo's camera (numpy).

Place in the flow: `export/record.py` reads a FaceRecord → this → `composite.py` puts what was edited back into the
photo. Pose and light of a record are the photo's, so no crop is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import crop_intrinsics
from facefactor.code.face_code import FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.export.record import FaceRecord
from facefactor.face.albedo import subdivided_albedo
from facefactor.face.model import FaceModel
from facefactor.infer.decoder import Decoder
from facefactor.photo.crop import crop_to_photo

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class PosedHead:
    """The subdivided head of one face in the photo's camera frame."""

    vertices_camera: Float[np.ndarray, "subdivided 3"]
    """Millimetres."""
    albedo_linear: Float[np.ndarray, "subdivided 3"]
    illumination: Float[np.ndarray, "9 3"]
    """Spherical harmonics in the photo's camera frame."""


def code_of(record: FaceRecord) -> FaceCode[np.ndarray]:
    """The code of a record, in the photo's camera: float32, one face."""
    parts = {
        "shape": record.shape,
        "expression": record.expression,
        "reflectance": record.reflectance,
        "rotation": axis_angle_from_matrix(record.camera.R),
        "translation": record.camera.t,
        "illumination": record.illumination,
        "geometry_corrective": record.geometry_corrective,
        "reflectance_corrective": record.reflectance_corrective,
    }
    return FaceCode(**{name: np.asarray(part, dtype=np.float32) for name, part in parts.items()})


def pose_head(model: FaceModel, decoder: Decoder[np.ndarray], code: FaceCode[np.ndarray]) -> PosedHead:
    """Decode a code.

    Args:
        model: that the code is of, corrections included.
        decoder: of that model.
        code: one face.
    """
    surface = surface_camera(model, decoder, code)
    return PosedHead(surface, subdivided_albedo(model, code.full_reflectance), code.illumination)


def surface_camera(
    model: FaceModel, decoder: Decoder[np.ndarray], code: FaceCode[np.ndarray]
) -> Float[np.ndarray, "subdivided 3"]:
    """The subdivided vertices alone, camera frame, millimetres; arguments as in `pose_head`."""
    (native,) = decoder.vertices(code.full_shape[None], code.expression[None])
    return move_to_camera(model.subdivision @ native, matrix_from_axis_angle(code.rotation), code.translation)


def landmarks68_px(
    decoder: Decoder[np.ndarray], code: FaceCode[np.ndarray], K: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "68 2"]:
    """The iBUG points of one face in pixels of the photo whose intrinsics are K."""
    decoded = decoder.decode(code.map(lambda part: part[None]))
    return crop_to_photo(decoded.landmarks68_px[0], K @ np.linalg.inv(crop_intrinsics(ENCODER_CROP_PX)))
