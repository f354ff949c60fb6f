# SPDX-License-Identifier: Apache-2.0
"""One camera for the whole clip, and every face of it posed there.

The encoder answers in the camera of each frame's crop, whose focal length and axis change with the crop. Here each
face is posed anew in one camera that stands still, so that positions are millimetres of one space and can be smoothed:

    answer ─own shape─► landmarks in the frame;   minimise over R, t   Σ_i |K (R x_i + t) − landmark_i|²

where x_i are the landmarks of the person's shared head with the frame's expression (Gauss-Newton, batched over frames).
The light turns with the camera, and is scaled by what the shared albedo differs from the frame's own, so that their
product, which is what the picture shows, stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from facefactor.arrays import unit_vectors
from facefactor.camera.pose import axis_angle_from_matrix, matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import (
    crop_intrinsics,
    photo_camera,
    project_points,
    projection_derivative,
    rays_through,
)
from facefactor.code.face_code import FaceCode
from facefactor.encode import ENCODER_CROP_PX
from facefactor.face.linear_bases import LinearBases, in_triangles, linear_weights
from facefactor.face.model import FaceModel
from facefactor.light.spherical_harmonics import rotate_light
from facefactor.photo.crop import FOCAL_PER_CROP_SIZE
from facefactor.photo.landmarks import FACE_OVAL, IBUG_51_FROM_478
from facefactor.video.rows import SeenFaces

if TYPE_CHECKING:
    from jaxtyping import Float

LEAST_FOCAL = 1.2
"""Of the focal length over the picture's larger side: a view of 45°, as wide as phones film."""
LANDMARKS = (*IBUG_51_FROM_478, *FACE_OVAL)
"""MediaPipe numbers of the points by which faces are posed, 87: features and outline."""
ROUNDS = 4
"""Of Gauss-Newton; the start is the answer's own pose."""
ROWS_AT_A_TIME = 128


class ClipPoser:
    """Poses faces in one camera.

    Args:
        model: of the codes.
    """

    def __init__(self, model: FaceModel) -> None:
        marks = list(LANDMARKS)
        places = in_triangles(model.landmarks478_vertices[marks], model.landmarks478_weights[marks])
        self._marks = LinearBases.of(model, places)
        face = model.regions["face"]
        self._mean_log_albedo_basis = model.reflectance_basis[:, face].mean(axis=1)

    def landmarks_px(self, code: FaceCode[np.ndarray], K: Float[np.ndarray, "*rows 3 3"]) -> np.ndarray:
        """(rows, 87, 2) the faces' landmarks through a camera, float64."""
        points = self._points(code)
        R = matrix_from_axis_angle(code.rotation.astype(np.float64))
        return project_points(move_to_camera(points, R, code.translation.astype(np.float64)), K)

    def answered_landmarks_px(self, seen: SeenFaces) -> np.ndarray:
        """(rows, 87, 2) landmarks as each frame's own answer has them, pixels of the frame."""
        in_crops = self.landmarks_px(seen.code, crop_intrinsics(ENCODER_CROP_PX))
        return in_crops @ seen.T_photo_crop[:, :2, :2].transpose(0, 2, 1) + seen.T_photo_crop[:, None, :2, 2]

    def pose(
        self, seen: SeenFaces, shared: FaceCode[np.ndarray], K: Float[np.ndarray, "3 3"]
    ) -> tuple[FaceCode[np.ndarray], np.ndarray]:
        """Pose the shared heads where the frames' own answers are.

        Args:
            seen: the answers.
            shared: the same with shared identities.
            K: the clip's camera.

        Returns:
            The codes in the clip's camera, float32; and the landmarks of the answers, (rows, 87, 2) pixels.
        """
        targets_px = self.answered_landmarks_px(seen)
        R_crop, R_start, t_start = _start(seen, K)
        R, t = np.empty_like(R_start), np.empty_like(t_start)
        for rows in _slices(len(R)):
            points = self._points(shared[rows])
            R[rows], t[rows] = fit_pose(points, targets_px[rows], K, R_start[rows], t_start[rows])
        gain = np.exp((seen.code.full_reflectance - shared.full_reflectance) @ self._mean_log_albedo_basis)
        light = rotate_light(seen.code.illumination.astype(np.float64), R @ R_crop.transpose(0, 2, 1))
        parts = {"rotation": axis_angle_from_matrix(R), "translation": t, "illumination": light * gain[:, None]}
        return replace(shared, **{name: part.astype(np.float32) for name, part in parts.items()}), targets_px

    def _points(self, code: FaceCode[np.ndarray]) -> np.ndarray:
        return self._marks.points(*linear_weights(code.full_shape, code.expression)).astype(np.float64)


def clip_intrinsics(seen: SeenFaces, width: int, height: int) -> Float[np.ndarray, "3 3"]:
    """The clip's camera: axis through the picture's middle; focal length so that faces stand about a metre away.

    Args:
        seen: the faces.
        width: of the frames, pixels.
        height: of the frames, pixels.
    """
    crops_px = ENCODER_CROP_PX * np.hypot(seen.T_photo_crop[:, 0, 0], seen.T_photo_crop[:, 1, 0])
    focal_px = max(FOCAL_PER_CROP_SIZE * float(np.median(crops_px)), LEAST_FOCAL * max(width, height))
    return np.array([[focal_px, 0.0, width / 2], [0.0, focal_px, height / 2], [0.0, 0.0, 1.0]])


def fit_pose(
    points_head: Float[np.ndarray, "rows points 3"],
    targets_px: Float[np.ndarray, "rows points 2"],
    K: Float[np.ndarray, "3 3"],
    R: Float[np.ndarray, "rows 3 3"],
    t: Float[np.ndarray, "rows 3"],
) -> tuple[Float[np.ndarray, "rows 3 3"], Float[np.ndarray, "rows 3"]]:
    """Find the pose in which points fall on pixels, in the least squares sense.

    Args:
        points_head: millimetres.
        targets_px: where each should fall.
        K: intrinsics, one focal length, no skew.
        R: head to camera, near the answer.
        t: head to camera, millimetres, near the answer.
    """
    for _ in range(ROUNDS):
        turned = points_head @ R.transpose(0, 2, 1)
        points_camera = turned + t[:, None]
        missing_px = targets_px - project_points(points_camera, K)
        by_translation = projection_derivative(points_camera, K)
        by_rotation = np.cross(turned[:, :, None], by_translation)  # d(ω × p)·j = ω·(p × j)
        jacobian = np.concatenate([by_rotation, by_translation], axis=-1).reshape(len(R), -1, 6)
        transposed = jacobian.transpose(0, 2, 1)
        step = np.linalg.solve(transposed @ jacobian, transposed @ missing_px.reshape(len(R), -1, 1))[..., 0]
        R, t = matrix_from_axis_angle(step[:, :3]) @ R, t + step[:, 3:]
    return R, t


def _start(seen: SeenFaces, K: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotation to the crop's camera; rotation and translation to the clip's, up to perspective.

    The crop's camera looks at the crop's middle: turned onto the clip's ray through that pixel, at a depth that keeps
    the size, its answer falls about where it should.
    """
    R_crop = matrix_from_axis_angle(seen.code.rotation.astype(np.float64))
    t_crop = seen.code.translation.astype(np.float64)
    photo = photo_camera(seen.T_photo_crop, crop_intrinsics(ENCODER_CROP_PX), R_crop, t_crop)
    ahead, towards = rays_through(K[None, :2, 2], K), rays_through(photo.K[:, :2, 2], K)
    axis = np.cross(ahead, towards)
    sine, cosine = np.linalg.norm(axis, axis=1, keepdims=True), (ahead * towards).sum(axis=1, keepdims=True)
    turn = matrix_from_axis_angle(unit_vectors(axis) * np.arctan2(sine, cosine))
    t = (turn @ photo.t[..., None])[..., 0] * (K[0, 0] / photo.K[:, 0, 0])[:, None]
    return R_crop, turn @ photo.R, t


def _slices(count: int) -> Iterator[slice]:
    return (slice(start, start + ROWS_AT_A_TIME) for start in range(0, count, ROWS_AT_A_TIME))
