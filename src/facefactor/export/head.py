# SPDX-License-Identifier: Apache-2.0
"""A face code and a texture as one head to be written: the subdivided mesh, with the 52 expressions as morphs.

Place in the flow: FaceCode, and a texture (`photo_texture.py`) → this → `glb.py`, `usd.py`, `obj.py`, `ply.py`.
"""

import numpy as np

from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.export.glb import GlbMesh
from facefactor.face.linear_bases import JAW_OPEN, MOUTH_CLOSE
from facefactor.face.model import FaceModel
from facefactor.infer.decoder import Decoder


class HeadMesher:
    """Makes the heads of one face model.

    Args:
        model: the face model.
        decoder: of the same, where there is one already.
    """

    def __init__(self, model: FaceModel, decoder: Decoder[np.ndarray] | None = None) -> None:
        self._model, self._decoder = model, decoder or Decoder.of(model)

    def mesh(self, code: FaceCode[np.ndarray], texture_srgb: np.ndarray) -> GlbMesh:
        """The subdivided head of this identity, without expression, that opens with the face's own.

        Args:
            code: of one face.
            texture_srgb: (size, size, 3) uint8.
        """
        model = self._model
        neutral_mm, deltas_mm = self._morphs(code.full_shape)
        return GlbMesh(
            vertices_mm=neutral_mm,
            triangles=model.triangles_subdivided,
            uv=model.uv_subdivided,
            uv_triangles=model.uv_triangles_subdivided,
            texture_srgb=texture_srgb,
            morph_names=EXPRESSION_NAMES,
            morph_deltas_mm=deltas_mm,
            morph_weights=code.expression,
        )

    def _morphs(self, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The subdivided neutral head (S, 3) and what each expression at weight 1 adds to it (52, S, 3).

        The model is linear in the weights, but for mouthClose, which is bounded by jawOpen: its part is that on an open
        jaw.
        """
        expressions = np.eye(1 + len(EXPRESSION_NAMES), len(EXPRESSION_NAMES), k=-1, dtype=np.float32)
        expressions[1 + MOUTH_CLOSE, JAW_OPEN] = 1.0
        heads = self._decoder.vertices(np.broadcast_to(shape, (len(expressions), len(shape))), expressions)
        without = np.zeros(len(EXPRESSION_NAMES), dtype=int)
        without[MOUTH_CLOSE] = 1 + JAW_OPEN
        deltas = heads[1:] - heads[without]
        columns = np.concatenate([heads[:1], deltas]).transpose(1, 0, 2).reshape(self._model.num_vertices, -1)
        subdivided = (self._model.subdivision @ columns).reshape(self._model.num_subdivided, -1, 3).transpose(1, 0, 2)
        return subdivided[0], np.ascontiguousarray(subdivided[1:])
