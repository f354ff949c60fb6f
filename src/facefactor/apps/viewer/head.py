# SPDX-License-Identifier: Apache-2.0
"""The face model made ready for a viewer: the posed surface and its albedo within milliseconds of a change (numpy).

Place in the flow: a record's numbers → `code_of` → `surface_camera` and `albedo` at the subdivided vertices, which
`painting.py` lights. Records of the base face model and of the corrected one are both looked at through the corrected
one, of which the base is the part whose corrections are zero.
"""

import functools

import numpy as np

from facefactor.apps.cli import DEFAULT_ENGINE
from facefactor.apps.engines import open_engine
from facefactor.code.face_code import REFLECTANCE_SIZE, SHAPE_SIZE, FaceCode
from facefactor.edit import posed_head
from facefactor.errors import IncompatibleCode
from facefactor.export.record import FaceRecord
from facefactor.face.albedo import subdivided_albedo
from facefactor.face.fade import face_opacity
from facefactor.face.model import load_face_model
from facefactor.fit.detail import DetailTransfer
from facefactor.infer.decoder import Decoder


class Head:
    """The default engine's face model, whose heads are looked at, with the engine.

    Raises:
        AssetMissing: the engine's weights are not there.
    """

    def __init__(self) -> None:
        base = load_face_model()
        self.engine = open_engine(DEFAULT_ENGINE, base)
        self.model = self.engine.model
        self.decoder = Decoder.of(self.model)
        self.known_hashes = (base.model_hash, self.model.model_hash)
        """Of the face models whose records can be looked at: the base and the corrected one."""
        # Computing the albedo takes as long as all the rest, and most controls leave it as it is.
        self._albedo = functools.lru_cache(maxsize=1)(self._compute_albedo)

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
            raise IncompatibleCode(f"the face is of the face model {record.model_hash}, here are {known}")
        code = posed_head.code_of(record)
        return code.with_correctives(
            _padded(code.geometry_corrective, len(self.model.shape_basis) - SHAPE_SIZE),
            _padded(code.reflectance_corrective, len(self.model.reflectance_basis) - REFLECTANCE_SIZE),
        )

    def surface_camera(self, code: FaceCode[np.ndarray]) -> np.ndarray:
        """(S, 3) the posed subdivided surface, camera frame, millimetres."""
        return posed_head.surface_camera(self.model, self.decoder, code)

    def albedo(self, code: FaceCode[np.ndarray]) -> np.ndarray:
        """(S, 3) linear albedo at the subdivided vertices."""
        return self._albedo(code.full_reflectance.tobytes())

    def _compute_albedo(self, full_reflectance: bytes) -> np.ndarray:
        return subdivided_albedo(self.model, np.frombuffer(full_reflectance, dtype=np.float32))


def _padded(corrections: np.ndarray, count: int) -> np.ndarray:
    """The corrections, or as many zeros where the record is of the base model."""
    return corrections if len(corrections) == count else np.zeros(count, dtype=np.float32)
