# SPDX-License-Identifier: Apache-2.0
"""One face of a photo as a corpus holds it: the stored crop with its landmarks, as KEY.jpg and KEY.json.

Place in the flow: `prepare` makes and encodes these, `photographs.py` decodes and batches them. Landmarks are rounded
to a hundredth of a stored pixel, visibility to a thousandth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from facefactor.data.crops import CORPUS_CROP_PX, mean_landmarks_mm, stored_crop
from facefactor.data.shards import Sample
from facefactor.errors import IncompatibleCode
from facefactor.photo.crop import crop_image, photo_to_crop
from facefactor.photo.detect import FaceBox
from facefactor.photo.find import FoundFace
from facefactor.photo.landmarks import NUM_LANDMARKS
from facefactor.photo.read import Photo

Part = TypeVar("Part")


@dataclass(frozen=True, eq=False)
class PhotoSample:
    """A face cut out of a photo."""

    crop_srgb: NDArray[np.uint8]
    """(160, 160, 3) sRGB-encoded; the photo's border pixels are repeated outside it."""
    landmarks_px: NDArray[np.float32]
    """(478, 2) pixels of the stored crop."""
    visibility: NDArray[np.float32]
    """(478,) in [0, 1]."""
    T_photo_crop: NDArray[np.float64]
    """(3, 3) pixels of the stored crop to pixels of the photo."""
    photo: str
    """The photo's path from the folder that was prepared."""
    photo_size_px: tuple[int, int]
    """Width and height of the photo."""
    face_box: FaceBox
    """In photo pixels."""
    yaw_deg: float
    """Estimated; > 0 when the subject turns to image right."""


def cut_photo_sample(photo: Photo, face: FoundFace, name: str) -> PhotoSample:
    """Cut a found face out of its photo.

    Args:
        photo: that shows it.
        face: its box and landmarks.
        name: of the photo in the corpus.
    """
    T_photo_crop = stored_crop(face.landmarks)
    crop_srgb = np.rint(crop_image(photo, T_photo_crop, CORPUS_CROP_PX) * 255).astype(np.uint8)
    landmarks_px = photo_to_crop(face.landmarks.points_px, T_photo_crop)
    return PhotoSample(
        crop_srgb=crop_srgb,
        landmarks_px=landmarks_px.astype(np.float32),
        visibility=face.landmarks.visibility.astype(np.float32),
        T_photo_crop=T_photo_crop,
        photo=name,
        photo_size_px=(photo.width, photo.height),
        face_box=face.box,
        yaw_deg=estimate_yaw_deg(landmarks_px),
    )


def encode_photo_sample(sample: PhotoSample, key: str) -> Sample:
    """Make the files of a sample."""
    record = {
        "landmarks_px": np.round(sample.landmarks_px.astype(np.float64), 2).tolist(),
        "visibility": np.round(sample.visibility.astype(np.float64), 3).tolist(),
        "T_photo_crop": sample.T_photo_crop.tolist(),
        "photo": sample.photo,
        "photo_size_px": sample.photo_size_px,
        "face_box": {name: round(float(value), 3) for name, value in vars(sample.face_box).items()},
        "yaw_deg": round(sample.yaw_deg, 2),
    }
    return Sample.of(key, sample.crop_srgb, record)


def decode_photo_sample(sample: Sample) -> PhotoSample:
    """Read the files of a sample.

    Raises:
        IncompatibleCode: it is no photo sample of this version.
    """
    try:
        record = sample.json()
        crop_srgb = sample.picture_srgb()
        decoded = _from_record(record, crop_srgb)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise IncompatibleCode(f"sample {sample.key} is no photo sample of this version: {error!r}") from None
    shapes = decoded.crop_srgb.shape, decoded.landmarks_px.shape, decoded.visibility.shape
    wanted = (CORPUS_CROP_PX, CORPUS_CROP_PX, 3), (NUM_LANDMARKS, 2), (NUM_LANDMARKS,)
    if shapes != wanted:
        raise IncompatibleCode(f"sample {sample.key}: crop, landmarks and visibility are {shapes}, expected {wanted}")
    return decoded


def landmarks_of(sample: Sample) -> NDArray[np.float32]:
    """Read the landmarks of a sample and nothing else: (478, 2) pixels of the stored crop.

    Raises:
        IncompatibleCode: it is no photo sample of this version.
    """
    return _read_alone(
        sample, lambda record: np.asarray(record["landmarks_px"], dtype=np.float32).reshape(NUM_LANDMARKS, 2)
    )


def photo_name_of(sample: Sample) -> str:
    """Read the path of a sample's photo and nothing else; raises as `landmarks_of`."""
    return _read_alone(sample, lambda record: str(record["photo"]))


def estimate_yaw_deg(landmarks_px: NDArray[np.floating]) -> float:
    """Estimate how far a face is turned left or right, from the mean head that fits its landmarks best.

    The affine camera of least squares, pixel ≈ s [r_1; r_2] x + shift, is made a rotation by its singular vectors;
    with R = Rz(-roll) Ry(yaw) Rx(-pitch), sin(yaw) = -R_20 = -(r_1 × r_2)_x whatever roll and pitch are.

    Args:
        landmarks_px: (478, 2), y down.

    Returns:
        Degrees in [-90, 90], > 0 when the subject turns to image right.
    """
    points_mm = mean_landmarks_mm()
    centred_px = (landmarks_px - landmarks_px.mean(axis=0)) * (1.0, -1.0)
    affine = np.linalg.lstsq(points_mm - points_mm.mean(axis=0), centred_px, rcond=None)[0].T
    left, _, right = np.linalg.svd(affine, full_matrices=False)
    across, up = left @ right
    return float(np.degrees(np.arcsin(np.clip(-np.cross(across, up)[0], -1, 1))))


def _read_alone(sample: Sample, read: Callable[[dict[str, Any]], Part]) -> Part:
    """Read a part of a sample's record."""
    try:
        return read(sample.json())
    except (KeyError, TypeError, ValueError) as error:
        raise IncompatibleCode(f"sample {sample.key} is no photo sample of this version: {error!r}") from None


def _from_record(record: dict[str, Any], crop_srgb: NDArray[np.uint8]) -> PhotoSample:
    width, height = record["photo_size_px"]
    return PhotoSample(
        crop_srgb=crop_srgb,
        landmarks_px=np.asarray(record["landmarks_px"], dtype=np.float32),
        visibility=np.asarray(record["visibility"], dtype=np.float32),
        T_photo_crop=np.asarray(record["T_photo_crop"], dtype=np.float64).reshape(3, 3),
        photo=record["photo"],
        photo_size_px=(int(width), int(height)),
        face_box=FaceBox(**record["face_box"]),
        yaw_deg=float(record["yaw_deg"]),
    )
