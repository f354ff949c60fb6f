# SPDX-License-Identifier: Apache-2.0
"""Whose face is looked at: the record of a face, with the photo it is from where that is at hand.

A record says all there is about a face in its photo's own camera, so a reconstruction of a moment ago and a file of
last year are looked at alike. The photo adds what no record holds: something to lay the face over, and the fine detail
of the skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from facefactor.apps.reconstruction import CROP_SIZE_PX
from facefactor.apps.viewer.head import Head
from facefactor.camera.projection import crop_intrinsics
from facefactor.code.face_code import NOMINAL_DISTANCE_MM, FaceCode
from facefactor.export.record import CameraRecord, FaceBoxPx, FaceRecord, Quality
from facefactor.photo.crop import crop_coverage, crop_image
from facefactor.photo.read import Photo

LARGEST_PICTURE_PX = 1536
"""Width and height at the most of pictures at the photo's camera: enough for a screen."""
MEAN_PHOTO_PX = 512
"""Side of the picture that the mean face, which has no photo, is placed in."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A face to look at."""

    record: FaceRecord
    """The face as its photo shows it."""
    code: FaceCode[np.ndarray]
    """The record's face in the photo's camera."""
    opened: FaceCode[np.ndarray]
    """The same, or as it had been changed when it was saved."""
    photo_srgb: np.ndarray | None
    """(height, width, 3) float32 in [0, 1], all of it in the size of `picture_frame`; None where it is not at hand."""
    detail: np.ndarray
    """(S, 3) or (1, 3): the photo's own detail, a factor on the linear albedo of the subdivided vertices."""

    @classmethod
    def of(cls, record: FaceRecord, photo: Photo | None, head: Head, edited: FaceRecord | None = None) -> Subject:
        """Make a record, and its photo if there is one, ready to be looked at.

        Args:
            record: of the face as its photo shows it.
            photo: None where it is not at hand.
            head: the face model that it is looked at with.
            edited: the record as it was changed since, if it was.

        Raises:
            IncompatibleCode: the record is of another face model.
        """
        code = head.code_of(record)
        opened = code if edited is None or edited is record else head.code_of(edited)
        if photo is None:
            return cls(record, code, opened, None, np.ones((1, 3), dtype=np.float32))
        _, height, width = picture_frame(record)
        small = Image.fromarray(photo.srgb).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
        photo_srgb = np.asarray(small, dtype=np.float32) / 255.0
        return cls(record, code, opened, photo_srgb, _photo_detail(record, code, photo, head))


def picture_frame(record: FaceRecord) -> tuple[np.ndarray, int, int]:
    """K, height and width of the photo's camera for pictures of at most LARGEST_PICTURE_PX."""
    width, height = record.photo_width, record.photo_height
    scale = min(1.0, LARGEST_PICTURE_PX / max(width, height))
    small_width, small_height = max(1, round(width * scale)), max(1, round(height * scale))
    K = np.diag([small_width / width, small_height / height, 1.0]) @ record.camera.K
    return K, small_height, small_width


def mean_record(model_hash: str) -> FaceRecord:
    """The mean face before the nominal camera, in white light.

    Args:
        model_hash: of the face model.
    """
    code, size = FaceCode.neutral(), MEAN_PHOTO_PX
    return FaceRecord(
        photo_name="mean face",
        photo_width=size,
        photo_height=size,
        engine="none",
        weights_hash=None,
        model_hash=model_hash,
        face_box_px=FaceBoxPx(0.25 * size, 0.2 * size, 0.5 * size, 0.6 * size),
        camera=CameraRecord(crop_intrinsics(size), np.eye(3), code.translation, 0.0, 0.0, 0.0, NOMINAL_DISTANCE_MM),
        shape=code.shape,
        expression=code.expression,
        reflectance=code.reflectance,
        illumination=code.illumination,
        geometry_corrective=code.geometry_corrective,
        reflectance_corrective=code.reflectance_corrective,
        landmarks_68_px=np.zeros((68, 2)),
        quality=Quality(0.0, 0.0, 0.0),
    )


def _photo_detail(record: FaceRecord, code: FaceCode[np.ndarray], photo: Photo, head: Head) -> np.ndarray:
    """What the photo's skin has on top of the albedo, as a factor.

    A crop along the photo's axes that shares the photo's camera sees the face with the record's own R and t.
    """
    K_crop = crop_intrinsics(CROP_SIZE_PX)
    T_photo_crop = record.camera.K @ np.linalg.inv(K_crop)
    crop_srgb = crop_image(photo, T_photo_crop, CROP_SIZE_PX)
    coverage = crop_coverage(photo, T_photo_crop, CROP_SIZE_PX)
    surface, albedo = head.surface_camera(code), head.albedo(code)
    detail = head.detail_transfer.compare(surface, albedo, code.illumination, K_crop, crop_srgb, coverage)
    return detail.applied_to(albedo) / albedo
