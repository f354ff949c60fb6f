# SPDX-License-Identifier: Apache-2.0
"""All codes of a clip as one Parquet table (pyarrow), a row for each face and frame.

    time_s, frame, person                     seconds since the first frame; number among the frames that decode
    K, R, t                                   9, 9, 3: the clip's camera, rows of the matrices one after the other
    shape, expression, reflectance, rotation, translation, illumination, geometry_corrective, reflectance_corrective
                                              the face code in the clip's camera; illumination 27, rows of 9×3

The file's metadata: schema "facefactor.video/1", model_hash, engine, weights_hash, expression_names. Units are those of
`facefactor.face/1`.
"""

import io
import json

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from facefactor.camera.pose import matrix_from_axis_angle
from facefactor.code.face_code import CORRECTIVE_PARTS, PART_SHAPES
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.infer.engine import Engine
from facefactor.video.rows import ClipFaces

SCHEMA = "facefactor.video/1"


def encode_table(faces: ClipFaces, engine: Engine) -> bytes:
    """Return the Parquet file of a clip's faces.

    Args:
        faces: of the clip.
        engine: whose codes they are.
    """
    R = matrix_from_axis_angle(faces.code.rotation.astype(np.float64))
    columns = {
        "time_s": pa.array(faces.times_s),
        "frame": pa.array(faces.frames.astype(np.int32)),
        "person": pa.array(faces.people.astype(np.int32)),
        "K": _lists(np.broadcast_to(faces.K, R.shape)),
        "R": _lists(R),
        "t": _lists(faces.code.translation.astype(np.float64)),
        **{name: _lists(getattr(faces.code, name)) for name in (*PART_SHAPES, *CORRECTIVE_PARTS)},
    }
    facts = {
        "schema": SCHEMA,
        "model_hash": engine.model.model_hash,
        "engine": engine.name,
        "weights_hash": engine.weights_hash or "",
        "expression_names": json.dumps(EXPRESSION_NAMES),
    }
    file = io.BytesIO()
    parquet.write_table(pa.table(columns, metadata=facts), file, compression="zstd")
    return file.getvalue()


def _lists(values: np.ndarray) -> pa.FixedSizeListArray:
    """A column of lists of one length from the rows of an array."""
    rows = np.ascontiguousarray(values).reshape(len(values), -1)
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
