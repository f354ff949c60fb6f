# SPDX-License-Identifier: Apache-2.0
"""The crops of a corpus: stored once with a border, cut a little differently each time they are trained on.

Place in the flow: `prepare` and `synthesize` store crops; a training batch cuts the encoder's crop out of each.

A stored crop has the encoder crop's centre, turn and pixels per millimetre and is 160 / 128 = 1.25 times as wide. So
T_photo_stored = T_photo_encoder · shift(-16), and the stored crop's camera has the encoder crop's focal length with the
principal point in its own middle. The border leaves room for what a crop misses in practice:

    stored = 80 + shift + scale · Rot(roll) · M (encoder - 64)      M = diag(-1, 1) when mirrored, else 1

A mirrored face is another possible face whose left points are on the right: its landmarks change places too.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facefactor.encode import ENCODER_CROP_PX
from facefactor.face.model import load_face_model
from facefactor.face.symmetry import match_mirrored
from facefactor.photo.crop import FOCAL_PER_CROP_SIZE, face_crop, photo_to_crop, rotation
from facefactor.photo.detect import FaceBox
from facefactor.photo.landmarks import Landmarks

CORPUS_CROP_PX = 160
"""Width and height of a stored crop."""
CROP_FOCAL_PX = FOCAL_PER_CROP_SIZE * ENCODER_CROP_PX
"""Focal length of both crops' cameras."""


@dataclass(frozen=True)
class JitterLimits:
    """How far a training crop may stray from the exact one; every draw stays inside the stored crop."""

    shift_px: float = 8.0
    """Largest shift along either axis, stored pixels; less where a larger or turned crop leaves less room."""
    scale: float = 1.1
    """Largest factor by which the crop is larger or smaller."""
    roll_deg: float = 6.0
    """Largest turn either way."""
    mirror_probability: float = 0.5

    def __post_init__(self) -> None:
        if not (self.shift_px >= 0 and self.scale >= 1 and self.roll_deg >= 0 and 0 <= self.mirror_probability <= 1):
            raise ValueError(f"shift and roll must be at least 0, scale 1, mirror_probability in [0, 1], got {self}")
        if _half_width_px(self.scale, np.radians(self.roll_deg)) > CORPUS_CROP_PX / 2:
            raise ValueError(
                f"a crop {self.scale} times as large and turned by {self.roll_deg}° does not fit into the stored "
                f"{CORPUS_CROP_PX} px: lower one of the two"
            )


def stored_crop(face: Landmarks | FaceBox) -> NDArray[np.float64]:
    """Choose the crop of a face that is stored: T_photo_crop (3, 3) for CORPUS_CROP_PX."""
    return face_crop(face, ENCODER_CROP_PX) @ np.linalg.inv(exact_crop())


def exact_crop() -> NDArray[np.float64]:
    """T_stored_crop (3, 3) without jitter, as at run time: encoder crop pixels to stored crop pixels."""
    return _similarity(np.zeros(2), 1.0, 0.0, mirrored=False)


def draw_crop(generator: np.random.Generator, limits: JitterLimits) -> NDArray[np.float64]:
    """Draw an encoder crop within a stored crop.

    Args:
        generator: of the draw; five numbers are taken from it, whatever the limits.
        limits: of the draw, uniform within them, the scale in its logarithm.

    Returns:
        T_stored_crop, (3, 3): encoder crop pixels to stored crop pixels; its determinant is negative when mirrored.
    """
    right, down, larger, turn = generator.uniform(-1, 1, 4)
    scale = limits.scale**larger
    roll_rad = np.radians(limits.roll_deg) * turn
    room_px = min(limits.shift_px, CORPUS_CROP_PX / 2 - _half_width_px(scale, roll_rad))
    mirrored = generator.random() < limits.mirror_probability
    return _similarity(room_px * np.array([right, down]), scale, roll_rad, bool(mirrored))


def cut_crop(stored_srgb: NDArray[np.uint8], T_stored_crop: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Sample the encoder crop from a stored crop, bilinear in sRGB-encoded values (the scale is near one).

    Args:
        stored_srgb: (160, 160, 3).
        T_stored_crop: (3, 3), as `draw_crop` makes it.

    Returns:
        (128, 128, 3).
    """
    size = (ENCODER_CROP_PX, ENCODER_CROP_PX)
    coefficients = tuple(T_stored_crop[:2].ravel().tolist())
    picture = Image.fromarray(stored_srgb)
    return np.asarray(picture.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR))


def cut_landmarks(
    points_px: NDArray[np.floating], visibility: NDArray[np.floating], T_stored_crop: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.floating]]:
    """Carry landmarks from a stored crop to the encoder crop; in a mirrored crop left and right points change places.

    Args:
        points_px: (478, 2) stored pixels.
        visibility: (478,).
        T_stored_crop: (3, 3).

    Returns:
        (478, 2) encoder crop pixels and (478,) visibility.
    """
    cut_px = photo_to_crop(points_px, T_stored_crop)
    is_mirrored = np.linalg.det(T_stored_crop[:2, :2]) < 0
    order = mirror_permutation() if is_mirrored else slice(None)
    return cut_px[order], visibility[order]


@functools.cache
def mirror_permutation() -> NDArray[np.intp]:
    """For each of the 478 landmarks the one on the other side of the face, or itself on the midline: (478,).

    From the face model's mean, whose mirrored landmarks are matched to the unmirrored ones.
    """
    return match_mirrored(mean_landmarks_mm())


def mean_landmarks_mm() -> NDArray[np.floating]:
    """The 478 landmarks of the face model's mean, (478, 3), head frame, millimetres."""
    model = load_face_model()
    return (model.mean[model.landmarks478_vertices] * model.landmarks478_weights[..., None]).sum(axis=1)


def _similarity(shift_px: NDArray[np.float64], scale: float, roll_rad: float, mirrored: bool) -> NDArray[np.float64]:
    turn = scale * rotation(roll_rad) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    T_stored_crop = np.eye(3)
    T_stored_crop[:2, :2] = turn
    T_stored_crop[:2, 2] = CORPUS_CROP_PX / 2 + shift_px - turn @ np.full(2, ENCODER_CROP_PX / 2)
    return T_stored_crop


def _half_width_px(scale: float, roll_rad: float) -> float:
    """Half the extent that a centred encoder crop takes along the stored crop's axes."""
    return float(scale * (abs(np.cos(roll_rad)) + abs(np.sin(roll_rad))) * ENCODER_CROP_PX / 2)
