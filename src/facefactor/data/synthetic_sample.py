# SPDX-License-Identifier: Apache-2.0
"""One synthetic face as a corpus holds it: the stored crop, and beside it code, landmarks and visibility as JSON.

Place in the flow: `synthesize` encodes these; whoever trains on a written corpus decodes them. The stored crop is the
encoder's with a border, at the same pixels per millimetre, and the code is in the encoder crop's camera; crop errors
are already in it, so only its exact crop fits the code.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from facefactor.code.face_code import FaceCode
from facefactor.data.crops import CORPUS_CROP_PX
from facefactor.data.shards import Sample
from facefactor.data.synthetic_face import SyntheticFace
from facefactor.encode import ENCODER_CROP_PX
from facefactor.errors import IncompatibleCode

STORED_BORDER_PX = (CORPUS_CROP_PX - ENCODER_CROP_PX) // 2
"""Of a stored crop around the encoder's."""
BATCH_SIZE = 32
"""Faces that are made at a time."""


def encode_synthetic_sample(face: SyntheticFace, key: str) -> Sample:
    """Make the files of a face in its stored crop; landmarks are rounded to a thousandth of a pixel."""
    record = {
        "code": face.code.to_dict(),
        "landmarks_px": np.round(face.landmarks_px.astype(np.float64), 3).tolist(),
        "visibility": face.visibility.tolist(),
    }
    return Sample.of(key, face.picture_srgb, record)


def encode_in_batches(
    make: Callable[[Sequence[int]], list[SyntheticFace]], numbers: Sequence[int], prefix: str
) -> Iterator[Sample]:
    """Make faces by number, some at a time, and yield their samples, with keys of prefix and number."""
    for start in range(0, len(numbers), BATCH_SIZE):
        chosen = numbers[start : start + BATCH_SIZE]
        for number, face in zip(chosen, make(chosen), strict=True):
            yield encode_synthetic_sample(face, f"{prefix}-{number:08d}")


def decode_synthetic_sample(sample: Sample) -> SyntheticFace:
    """Read the files of a face; picture and landmarks are the stored crop's.

    Raises:
        IncompatibleCode: it is no synthetic sample of this version.
    """
    try:
        record = sample.json()
        return SyntheticFace(
            picture_srgb=sample.picture_srgb(),
            code=FaceCode.from_dict(record["code"]),
            landmarks_px=np.asarray(record["landmarks_px"], dtype=np.float32),
            visibility=np.asarray(record["visibility"], dtype=np.float32),
        )
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise IncompatibleCode(f"sample {sample.key} is no synthetic sample of this version: {error!r}") from None


def cut_encoder_crop(face: SyntheticFace) -> SyntheticFace:
    """Cut the encoder's crop, whose camera the code is in, out of a stored crop: the exact crop is its middle."""
    inner = slice(STORED_BORDER_PX, -STORED_BORDER_PX)
    picture_srgb, landmarks_px = face.picture_srgb[inner, inner], face.landmarks_px - np.float32(STORED_BORDER_PX)
    inside = ((landmarks_px >= 0) & (landmarks_px <= len(picture_srgb))).all(axis=-1)
    return SyntheticFace(picture_srgb, face.code, landmarks_px, np.where(inside, face.visibility, np.float32(0.0)))
