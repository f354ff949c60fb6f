# SPDX-License-Identifier: Apache-2.0
"""The face model made ready for a viewer: the posed surface and its albedo within milliseconds of a change (numpy).

Place in the flow: a record's numbers → `code_of` → `surface_camera` and `albedo` at the subdivided vertices, which
`painting.py` lights. Records of the base face model and of the corrected one are both looked at through the corrected
one, of which the base is the part whose corrections are zero.
"""

from __future__ import annotations

import functools

import numpy as np

from facefactor.apps.cli import DEFAULT_ENGINE
from facefactor.apps.engines import open_engine
from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_axis_angle, move_to_camera
from facefactor.code.face_code import REFLECTANCE_SIZE, SHAPE_SIZE, FaceCode
from facefactor.errors import IncompatibleCode
from facefactor.export.record import FaceRecord
from facefactor.face.albedo import albedo_from_log
from facefactor.face.fade import face_opacity
from facefactor.face.model import FaceModel, load_face_model
from facefactor.fit.detail import DetailTransfer
from facefactor.infer.decoder import Decoder
from facefactor.infer.engine import Engine


class Head:
    """A face model whose heads are looked at.

    Args:
        model: the base face model; the shipped one by default.
        engine: whose face model, which corrects the base, heads are made with; the default one by default.

    Raises:
        AssetMissing: the engine's weights are not there.
    """

    def __init__(self, model: FaceModel | None = None, engine: Engine | None = None) -> None:
        base = model or load_face_model()
        self.engine = engine or open_engine(DEFAULT_ENGINE, base)
        self.model = self.engine.model
        self.decoder = Decoder.of(self.model)
        self.known_hashes = (base.model_hash, self.model.model_hash)
        """Of the face models whose records can be looked at: the base and the corrected one."""

    @property
    def triangles(self) -> np.ndarray:
        """(F, 3) of the subdivided surface, counter-clockwise seen from outside."""
        return self.model.triangles_subdivided

    @functools.cached_property
    def opacity(self) -> np.ndarray:
        """(S,) how much each vertex shows over a photo: 1 on the face, fading to 0 towards scalp, ears and neck."""
        return self.model.subdivision @ face_opacity(self.model)

    @functools.cached_property
    def detail_transfer(self) -> DetailTransfer:
        """Takes the fine detail of photos; made when the first photo asks for it."""
        return DetailTransfer(self.model)

    def code_of(self, record: FaceRecord) -> FaceCode[np.ndarray]:
        """The record's face in its photo's camera, float32, with as many corrections as the model has.

        Raises:
            IncompatibleCode: the record is of another face model.
        """
        if record.model_hash not in self.known_hashes:
            known = " and ".join(self.known_hashes)
            raise IncompatibleCode(f"it is of the face model {record.model_hash}, those here are {known}")
        code = FaceCode(
            shape=record.shape,
            expression=record.expression,
            reflectance=record.reflectance,
            rotation=axis_angle_from_matrix(record.camera.R),
            translation=record.camera.t,
            illumination=record.illumination,
            geometry_corrective=_padded(record.geometry_corrective, len(self.model.shape_basis) - SHAPE_SIZE),
            reflectance_corrective=_padded(
                record.reflectance_corrective, len(self.model.reflectance_basis) - REFLECTANCE_SIZE
            ),
        )
        return code.map(lambda part: part.astype(np.float32))

    def surface_camera(self, code: FaceCode[np.ndarray]) -> np.ndarray:
        """(S, 3) the posed subdivided surface, camera frame, millimetres."""
        (native,) = self.decoder.vertices(code.full_shape[None], code.expression[None])
        R = matrix_from_axis_angle(code.rotation)
        return move_to_camera(self.model.subdivision @ native, R, code.translation)

    def albedo(self, code: FaceCode[np.ndarray]) -> np.ndarray:
        """(S, 3) linear albedo at the subdivided vertices."""
        return self._albedo(code.full_reflectance.tobytes())

    @functools.lru_cache(maxsize=2)  # noqa: B019 - a viewer's head lives as long as the program
    def _albedo(self, full_reflectance: bytes) -> np.ndarray:
        coefficients = np.frombuffer(full_reflectance, dtype=np.float32)
        variation = np.tensordot(coefficients, self.model.reflectance_basis, axes=1)
        return albedo_from_log(self.model.log_albedo_mean + variation)


def _padded(corrections: np.ndarray, count: int) -> np.ndarray:
    """The corrections, or as many zeros where the record is of the base model."""
    return corrections if len(corrections) == count else np.zeros(count)
