# SPDX-License-Identifier: Apache-2.0
"""Camera frame to pixels, for the crop and for the photo it was cut from.

    pixel = K (x, -y, -z) / (-z)

with x right, y up, z toward the viewer in the camera frame (the head is at negative z) and x right, y down in the
image, where the centre of the top-left pixel is (0.5, 0.5). This is the one place where those signs change.

A crop is a similarity of its photo: crop pixels go to photo pixels by T = [[s Q, u], [0, 1]], with Q a rotation in the
image. Because T K_crop = K_photo blockdiag(Q, 1) when K_crop has one focal length, and Q turns the image exactly as
the camera turned about its axis, the photo has an exact camera of its own: K_photo has the focal length s f, and the
rotation moves into R and t. The light, which lives in the camera frame, turns with it: see `in_plane_rotation`.
For numpy arrays and torch tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple

import numpy as np

from facefactor.arrays import Array, array_namespace, constant_like, unit_vectors
from facefactor.photo.crop import FOCAL_PER_CROP_SIZE

if TYPE_CHECKING:
    from jaxtyping import Float

SIMILARITY_TOLERANCE = 1e-5
"""How far, relative to its scale, a transform may be from a similarity; a float32 matrix is within it."""


class PhotoCamera(NamedTuple, Generic[Array]):
    """The camera of a photo: x_camera = R x_head + t in millimetres, pixels by K."""

    K: Float[Array, "*batch 3 3"]
    R: Float[Array, "*batch 3 3"]
    t: Float[Array, "*batch 3"]


def crop_intrinsics(size_px: int) -> Float[np.ndarray, "3 3"]:
    """Make the intrinsics K of a square crop, float64: nominal focal length, principal point at the centre.

    Args:
        size_px: width and height of the crop.
    """
    if size_px <= 0:
        raise ValueError(f"a crop must have a positive size, got {size_px} px")
    focal_px, centre_px = FOCAL_PER_CROP_SIZE * size_px, size_px / 2.0
    return np.array([[focal_px, 0.0, centre_px], [0.0, focal_px, centre_px], [0.0, 0.0, 1.0]])


def project_points(
    points_camera: Float[Array, "*batch points 3"], K: Float[Array, "*intrinsics 3 3"]
) -> Float[Array, "*batch points 2"]:
    """Project points to pixels.

    Args:
        points_camera: camera frame, millimetres, in front of the camera (negative z); behind it the result is finite
            and meaningless, at z = 0 it is infinite.
        K: intrinsics, one for all or one for each batch entry.

    Returns:
        Pixels, x right and y down, the top-left corner of the image at (0, 0).
    """
    depth_mm = depth_from_camera(points_camera)
    xp = array_namespace(points_camera)
    x, y = points_camera[..., 0], points_camera[..., 1]
    ray = xp.stack((x / depth_mm, -y / depth_mm, xp.ones_like(x)), axis=-1)
    return (ray @ K.mT)[..., :2]


def depth_from_camera(points_camera: Float[Array, "*batch points 3"]) -> Float[Array, "*batch points"]:
    """Read each point's distance along the camera's axis, -z, in millimetres; positive in front of the camera."""
    return -points_camera[..., 2]


def projection_derivative(
    points_camera: Float[Array, "*batch points 3"], K: Float[Array, "*intrinsics 3 3"]
) -> Float[Array, "*batch points 2 3"]:
    """How the pixels of `project_points` move with their points, pixels per millimetre; arguments as there."""
    depth_mm = depth_from_camera(points_camera)
    xp = array_namespace(points_camera)
    x, y, zero = points_camera[..., 0], points_camera[..., 1], xp.zeros_like(depth_mm)
    across = xp.stack((1.0 / depth_mm, zero, x / depth_mm**2), axis=-1)
    down = xp.stack((zero, -1.0 / depth_mm, -y / depth_mm**2), axis=-1)
    return K[..., None, :2, :2] @ xp.stack((across, down), axis=-2)


def rays_through(pixels: Float[Array, "*batch points 2"], K: Float[Array, "3 3"]) -> Float[Array, "*batch points 3"]:
    """Unit vectors of the camera frame that point at what is seen at pixels: the inverse of `project_points`."""
    xp = array_namespace(pixels)
    image = xp.concat((pixels, xp.ones_like(pixels[..., :1])), axis=-1) @ xp.linalg.inv(K).mT
    return unit_vectors(image * constant_like([1.0, -1.0, -1.0], image))


def photo_camera(
    T_photo_crop: Float[Array, "*batch 3 3"],
    K_crop: Float[Array, "*intrinsics 3 3"],
    R: Float[Array, "*batch 3 3"],
    t: Float[Array, "*batch 3"],
) -> PhotoCamera[Array]:
    """Carry a pose found in a crop over to the photo, exactly.

    Args:
        T_photo_crop: similarity from crop pixels to photo pixels, for column vectors (x, y, 1).
        K_crop: intrinsics of the crop, with one focal length for both axes and no skew.
        R: head to the crop's camera.
        t: head to the crop's camera, millimetres.

    Returns:
        K, R, t of the photo: projecting with them equals projecting into the crop and then applying T_photo_crop.

    Raises:
        ValueError: T_photo_crop shears, mirrors or stretches, or K_crop has two focal lengths or skew.
    """
    _check_one_focal_length(K_crop)
    turn = in_plane_rotation(T_photo_crop)
    K_photo = T_photo_crop @ K_crop @ _flip_y_and_z(turn).mT
    return PhotoCamera(K=K_photo, R=turn @ R, t=(turn @ t[..., None])[..., 0])


def in_plane_rotation(T_photo_crop: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3 3"]:
    """Find the rotation from the crop's camera frame to the photo's, a turn about the camera's axis.

    The light of a crop's face code is in the crop's camera frame; rotated by this matrix it is in the photo's.

    Raises:
        ValueError: the transform is no similarity.
    """
    _check_similarity(T_photo_crop)
    xp = array_namespace(T_photo_crop)
    turn = T_photo_crop[..., :2, :2] / xp.sqrt(xp.linalg.det(T_photo_crop[..., :2, :2]))[..., None, None]
    sideways = xp.concat((turn, xp.zeros_like(turn[..., :1])), axis=-1)
    # A similarity's last row is that of a rotation about the axis.
    return _flip_y_and_z(xp.concat((sideways, T_photo_crop[..., 2:, :]), axis=-2))


def _flip_y_and_z(matrix: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch 3 3"]:
    """Change a linear map between the camera frame (y up, z to the viewer) and the image's (y down, z away)."""
    signs = constant_like([1.0, -1.0, -1.0], matrix)
    return signs[:, None] * matrix * signs


def _check_similarity(transform: Float[Array, "*batch 3 3"]) -> None:
    xp = array_namespace(transform)
    linear, last_row = transform[..., :2, :2], transform[..., 2, :]
    scale_squared = xp.linalg.det(linear)
    gram = linear @ linear.mT - scale_squared[..., None, None] * constant_like([[1.0, 0.0], [0.0, 1.0]], linear)
    stretch = xp.max(xp.abs(gram), axis=(-2, -1))
    is_similarity = (scale_squared > 0.0) & (stretch <= SIMILARITY_TOLERANCE * scale_squared)
    keeps_plane = xp.all(last_row == constant_like([0.0, 0.0, 1.0], last_row), axis=-1)
    if not bool(xp.all(is_similarity & keeps_plane)):
        raise ValueError(
            f"T_photo_crop must scale, turn and shift (no shear, stretch or mirror), got {transform.tolist()}"
        )


def _check_one_focal_length(K: Float[Array, "*batch 3 3"]) -> None:
    xp = array_namespace(K)
    has_one = (K[..., 0, 0] == K[..., 1, 1]) & (K[..., 0, 1] == 0.0) & (K[..., 1, 0] == 0.0)
    if not bool(xp.all(has_one)):
        raise ValueError(f"the crop's K must have one focal length and no skew, got {K.tolist()}")
