# SPDX-License-Identifier: Apache-2.0
"""Encode the tracked faces of a clip, many at a time.

    tracked frames ─crop at each face's landmarks─► crops ─32 at a time─► codes ─► SeenFaces

Crops come from landmarks alone, so the encoder need not wait for its own last answer. Only crops and codes are kept.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from facefactor.code.face_code import FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.face.linear_bases import bound_mouth_close
from facefactor.infer.predictor import LARGEST_BATCH, EncoderGraph
from facefactor.photo.crop import crop_image, face_crop
from facefactor.video.pipeline import PartSeconds
from facefactor.video.rows import SeenFaces
from facefactor.video.tracker import TrackedFrame


class _Crop(NamedTuple):
    frame: int
    time_s: float
    scene: int
    track: int
    confidence: float
    T_photo_crop: np.ndarray
    srgb: np.ndarray


def encode_faces(tracked: Iterable[TrackedFrame], encoder: EncoderGraph, seconds: PartSeconds) -> SeenFaces | None:
    """Encode every face of every frame; None when there is none.

    Args:
        tracked: the frames of the whole clip.
        encoder: answers crops.
        seconds: the part "encode_faces" is counted there.
    """
    rows, packed = [], []
    crops = seconds.count_each("encode_faces", _cut(tracked))
    while batch := list(islice(crops, LARGEST_BATCH)):
        with seconds.count("encode_faces"):
            code = encoder.encode(np.stack([crop.srgb for crop in batch]))
            num_geometry = code.geometry_corrective.shape[-1]
            is_finite = np.isfinite(code.pack()).all(axis=1)
            packed.append(code.pack()[is_finite])
            rows += [crop[:-1] for crop, keep in zip(batch, is_finite, strict=True) if keep]
    if not rows:
        return None
    frames, times_s, scenes, tracks, confidence, T_photo_crop = (np.array(column) for column in zip(*rows, strict=True))
    code = FaceCode.unpack(np.concatenate(packed), num_geometry)
    code = code.with_expression(bound_mouth_close(code.expression))
    return SeenFaces(frames, times_s, scenes, tracks, confidence, T_photo_crop, code)


def _cut(tracked_frames: Iterable[TrackedFrame]) -> Iterator[_Crop]:
    for tracked in tracked_frames:
        for face in tracked.faces:
            T_photo_crop = face_crop(face.landmarks, ENCODER_CROP_PX)
            crop_srgb = crop_image(tracked.frame.photo, T_photo_crop, ENCODER_CROP_PX)
            confidence = float(face.landmarks.visibility.mean())
            moment = (tracked.frame.index, tracked.frame.time_s, tracked.scene)
            yield _Crop(*moment, face.track, confidence, T_photo_crop, crop_srgb)
